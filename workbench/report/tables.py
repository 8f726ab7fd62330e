"""Runs side by side: mean and sample standard deviation over seeds, and the gain of each correction over its base."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace
from tabulate import tabulate

from imo.errors import InputError
from imo.files import atomic_path
from imo.results import Result
from imo.workbench.report.formats import in_csv, in_markdown

CSV_COLUMNS = ["dataset", "method", "shots", "n", "mean", "std"]
AnyResult = TypeVar("AnyResult", bound=Result)
Cells = dict[tuple[str, str, int], "Cell"]  # by (dataset, method, shots)


@dataclass(frozen=True)
class Cell:
    """Values over seeds, in percent; `mean` and `std` (sample, None for one value)."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def text(self, sign: str = "", most: int = 0, of: bool = False) -> str:
        """Mean and deviation to one decimal, as tables show them; of fewer than `most` values, how many there are (and
        `of` how many)."""
        spread = "" if self.std is None else f" ± {self.std:.1f}"
        wanted = f" of {most}" if of else ""
        fewer = f" (n={len(self.values)}{wanted})" if len(self.values) < most else ""
        return f"{self.mean:{sign}.1f}{spread}{fewer}"


@dataclass(frozen=True)
class Comparison:
    """Methods on datasets, over shots.

    Attributes:
        rows: accuracies, in the order of the runs.
        gains: paired differences of a corrected method to its base.
        caption: what the numbers are.
    """

    rows: Cells
    gains: Cells
    caption: str

    def text(self, escape: Callable[[str], str] = str) -> str:
        """Caption and table; `escape` is done to the names in them."""
        shots = sorted({shots for _, _, shots in self.rows})
        datasets = list(dict.fromkeys(dataset for dataset, _, _ in self.rows))
        most = max(len(cell.values) for cell in self.rows.values())
        lines = []
        for dataset in datasets:
            place = [dataset] if len(datasets) > 1 else []
            for label, cells, sign in (("{}", self.rows, ""), ("gain of {}", self.gains, "+")):
                for method, row in by_method(cells, dataset).items():
                    texts = (row[k].text(sign, k and most) if k in row else "" for k in shots)
                    lines.append([*map(escape, place), escape(label.format(method)), *texts])
        header = [*(["dataset"] if len(datasets) > 1 else []), "method", *map(shots_text, shots)]
        return f"{escape(self.caption)}\n\n{tabulate(lines, header, 'github', disable_numparse=True)}"

    def cells(self) -> Cells:
        """Every row's and gain's cells by (dataset, label, shots)."""
        return {**self.rows, **{(d, f"gain of {method}", k): cell for (d, method, k), cell in self.gains.items()}}

    def write(self, stem: str | Path) -> Path:
        """Write <stem>.md as printed and <stem>.csv with all digits; returns the CSV's path."""
        stem = Path(stem)
        with atomic_path(stem.with_suffix(".md")) as temporary:
            temporary.write_text(self.text(escape=in_markdown) + "\n", encoding="utf-8")
        path = stem.with_suffix(".csv")
        self.write_csv(path)
        return path

    def write_csv(self, path: str | Path) -> None:
        """Every cell with all digits."""
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(CSV_COLUMNS)
            for (dataset, label, shots), cell in self.cells().items():
                std = "" if cell.std is None else f"{cell.std:.4f}"
                writer.writerow([in_csv(dataset), in_csv(label), shots, len(cell.values), f"{cell.mean:.4f}", std])


def by_method(cells: Cells, dataset: str) -> dict[str, dict[int, Cell]]:
    """Of one dataset, each method's cells by shots."""
    found: dict[str, dict[int, Cell]] = {}
    for (there, method, shots), cell in cells.items():
        if there == dataset:
            found.setdefault(method, {})[shots] = cell
    return found


def shots_text(shots: int) -> str:
    """The head of a column."""
    return "1 shot" if shots == 1 else f"{shots} shots"


def averages(results: Iterable[AnyResult], datasets: Collection[str], name: str) -> list[AnyResult]:
    """Average over datasets: for each method, number of shots and seed that all of them have, one run with the mean
    accuracy and `name` in place of the dataset."""
    cells: dict[tuple[object, ...], dict[str, AnyResult]] = {}
    for run in results:
        if run.dataset in datasets:
            cell = (run.method, run.cfg, run.backbone, run.shots, run.seed)
            cells.setdefault(cell, {})[run.dataset] = run
    found = []
    for by_dataset in cells.values():
        if len(by_dataset) == len(datasets):
            first = next(iter(by_dataset.values()))
            mean = statistics.fmean(run.accuracy for run in by_dataset.values())
            found.append(replace(first, dataset=name, accuracy=mean, n_test=None, overlap=None))
    return found


def variants(runs: Collection[Result]) -> Callable[[Result], str]:
    """What distinguishes runs of one method: config and backbone, where there are several; else nothing."""
    several = len({(run.cfg, run.backbone) for run in runs}) > 1
    return lambda run: f" ({run.cfg}, {run.backbone})" if several else ""


def comparison(results: Iterable[Result]) -> Comparison:
    """Put runs side by side. Gains are paired: only seeds that both methods have."""
    runs = list(results)
    if not runs:
        raise InputError("no finished runs to put side by side")
    variant = variants(runs)
    by_cell: dict[tuple[str, str, int], dict[int, float]] = {}
    bases: dict[tuple[str, str], str] = {}
    for run in runs:
        label = run.method + variant(run)
        by_cell.setdefault((run.dataset, label, run.shots), {})[run.seed] = run.accuracy
        bases[run.dataset, label] = (run.base or "") + variant(run)
    gains: Cells = {}
    for (dataset, label, shots), by_seed in by_cell.items():
        reference = by_cell.get((dataset, bases[dataset, label], shots), {})
        paired = tuple(value - reference[seed] for seed, value in by_seed.items() if seed in reference)
        if paired:
            gains[dataset, label, shots] = Cell(paired)

    def all_of(key: str) -> str:
        found = [getattr(run, key) for run in runs if getattr(run, key) is not None]
        return ", ".join(dict.fromkeys(map(str, found))) or "nothing"

    caption = (
        f"{all_of('dataset')}: accuracy in percent, mean ± sample standard deviation over seeds {all_of('seed')}; "
        f"backbone {all_of('backbone')}, {all_of('n_test')} test images, "
        f"tuned on {', '.join(tuned_on(runs))}"
    )
    rows = {place: Cell(tuple(by_seed.values())) for place, by_seed in by_cell.items()}
    return Comparison(rows, gains, caption + _overlaps(runs))


def tuned_on(runs: Iterable[Result]) -> list[str]:
    """On what the runs were tuned, in words, each once; "nothing" only where nothing else is there."""
    found = list(dict.fromkeys(run.tuned_on for run in runs))
    return [words for words in found if words != "nothing"] or ["nothing"]


def _overlaps(runs: Iterable[Result]) -> str:
    """A line for each dataset and correction whose overlap was measured on tuning images."""
    found = {(run.trained_on, run.correction): run.overlap for run in runs if run.overlap is not None}
    return "".join(
        f"\nIntra-modal overlap of {dataset}'s tuning images, correction {correction}: "
        f"area {report.area:.3f}, separation {report.separation:.3f}"
        for (dataset, correction), report in found.items()
    )
