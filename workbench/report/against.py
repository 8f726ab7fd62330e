"""Runs against stored figures: which cells differ by more than their spread."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imo.errors import InputError
from imo.results import Result
from imo.workbench.report.formats import Entry, Table, from_csv, number
from imo.workbench.report.tables import CSV_COLUMNS, comparison

_LEAST = 0.1  # points that count as equal whatever the spread: the last digit of published tables


@dataclass(frozen=True)
class Expected:
    """A stored figure: mean and sample standard deviation (None if not known) over n seeds."""

    n: int
    mean: float
    std: float | None


def read_expected(paths: Iterable[str | Path]) -> dict[tuple[str, str, int], Expected]:
    """Figures by (dataset, method, shots), from CSV files with the columns of compare.csv; std may be empty.

    Raises:
        InputError: a file that cannot be read, a column that is missing, a number that is none, a cell told twice.
    """
    found: dict[tuple[str, str, int], Expected] = {}
    for path in paths:
        try:
            with open(path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                missing = [name for name in CSV_COLUMNS if name not in (reader.fieldnames or ())]
                if missing:
                    raise InputError(f"{path}: no column '{missing[0]}'; expected {','.join(CSV_COLUMNS)}")
                for row in reader:
                    where = f"{path}, line {reader.line_num}"
                    key, cell = _figure(row, where)
                    if key in found:
                        raise InputError(f"{where}: {', '.join(map(str, key))} is told twice; keep one of them")
                    found[key] = cell
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: cannot be read ({error}); give a CSV file as compare.sh writes it") from error
    return found


def _figure(row: dict[str, str], where: str) -> tuple[tuple[str, str, int], Expected]:
    try:
        cell = Expected(int(row["n"]), float(row["mean"]), float(row["std"]) if row["std"] else None)
        key = (from_csv(row["dataset"]), from_csv(row["method"]), int(row["shots"]))
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: not a figure ({error}); expected {','.join(CSV_COLUMNS)}") from error
    if not all(math.isfinite(x) for x in (cell.mean, cell.std or 0.0)) or cell.n < 1 or (cell.std or 0.0) < 0:
        raise InputError(f"{where}: n, mean and std must be finite, n positive, std not negative")
    return key, cell


def against(runs: Sequence[Result], expected: dict[tuple[str, str, int], Expected]) -> tuple[Table, int]:
    """Each stored figure beside ours, and how many differ, in mean or in number of seeds, or are missing.

    Means differ where they are further apart than twice the standard error of their difference,
    `2 sqrt(s1^2 / n1 + s2^2 / n2)`, and than 0.1 points. A side without a deviation of its own is taken to have the
    other's; the 0.1 points decide where neither has one.
    """
    ours = comparison(runs).cells() if runs else {}
    lines, differing = [], 0
    for (dataset, method, shots), theirs in expected.items():
        cell = ours.get((dataset, method, shots))
        spread = "" if theirs.std is None else f" ± {theirs.std:.1f}"
        place = (Entry(dataset), Entry(method), number(shots), Entry(f"{theirs.mean:.1f}{spread}", theirs.mean))
        if cell is None:
            lines.append((*place, Entry("missing"), Entry(""), Entry(""), Entry("missing")))
            differing += 1
            continue
        n = len(cell.values)
        stds = (cell.std if theirs.std is None else theirs.std, theirs.std if cell.std is None else cell.std)
        error = math.sqrt(sum((std or 0.0) ** 2 / count for std, count in zip(stds, (theirs.n, n))))
        allowed, gap = max(2 * error, _LEAST), cell.mean - theirs.mean
        verdicts = ["differs"] * (abs(gap) > allowed) + [f"n {theirs.n} → {n}"] * (theirs.n != n)
        differing += bool(verdicts)
        numbers = (Entry(cell.text(), cell.mean), number(gap, "+.2f"), number(allowed, ".2f"))
        lines.append((*place, *numbers, Entry(", ".join(verdicts) or "agrees")))
    header = ("dataset", "method", "shots", "stored", "here", "difference", "allowed", "verdict")
    note = (
        f"{differing} of {len(lines)} differ. Allowed is twice the standard error of the difference of the two means, "
        f"and at least {_LEAST} points."
    )
    return Table("against", "Stored figures and these", header, tuple(lines), note), differing
