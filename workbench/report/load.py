"""What a report is made of, read from an output folder and checked: runs, overlap analyses, search surfaces."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from imo.bounds import check_parts
from imo.errors import InputError, reading, visible
from imo.protocol import Protocol
from imo.results import Result, find_results
from imo.workbench.report import analyses
from imo.workbench.report.tables import variants

_SURFACE = ("alphas", "betas", "gammas", "correct", "n")


class Run(Result, frozen=True, kw_only=True):
    """A result and where it was found.

    Attributes:
        folder: of the run, below the output folder.
    """

    folder: str


@dataclass(frozen=True)
class Sources:
    """Contents of an output folder.

    Attributes:
        runs: finished runs tested on the dataset they were made on.
        shifted: those tested on another, by the name of the dataset they were made on.
        adapters: those that trained a correction, and are no method to compare.
        analyses: contents of overlap/*/overlap.json, by dataset.
        skipped: files that were left out, with the reason.
    """

    root: Path
    runs: list[Run]
    shifted: dict[str, list[Run]]
    adapters: list[Run]
    analyses: dict[str, analyses.Analysis]
    skipped: list[str] = field(default_factory=list)

    def surface(self, run: Run) -> dict[str, NDArray[Any]] | None:
        """A run's surface.npz: alphas (A,), betas (B,), gammas (G,), correct (A, B, G), n (); None without one."""
        path = self.root / run.folder / "surface.npz"
        if not path.is_file():
            return None
        with reading(f"{path}: damaged", "remove the run's folder and run it again"):
            with zipfile.ZipFile(path) as archive:
                check_parts(archive, path.stat().st_size)
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in _SURFACE}
            shape = tuple(size for name in _SURFACE[:3] for (size,) in [found[name].shape])
            if any(part.dtype.kind not in "fi" or not np.isfinite(part).all() for part in found.values()):
                raise ValueError("not all are finite numbers")
            if found["correct"].shape != shape or not found["correct"].size or int(found["n"]) < 1:
                raise ValueError(f"'correct' is {found['correct'].shape}, axes are {shape}")
        return found


def gather(root: str | Path, methods: Collection[str] = ()) -> Sources:
    """Read an output folder; of some methods only, where they are named.

    Raises:
        InputError: no finished runs, a method that has none, or what `_check_data` and `_check_cells` refuse.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the OUTPUT of finished runs")
    found: list[Run] = []
    skipped: list[str] = []
    for place, result in find_results(root):
        if isinstance(result, InputError):
            skipped.append(visible(str(result).removeprefix(f"{root}/")))
        else:
            found.append(Run(folder=place, **msgspec.structs.asdict(result)))
    adapters = [run for run in found if run.kind == "adapter"]
    tested = _only(methods, [run for run in found if run.kind == "method"])
    runs = [run for run in tested if run.trained_on == run.dataset]
    shifted: dict[str, list[Run]] = {}
    for run in tested:
        if run.trained_on != run.dataset:
            shifted.setdefault(run.trained_on, []).append(run)
    if not runs and not shifted:
        reason = f"; left out: {skipped[0]}" if skipped else ""
        raise InputError(
            f"{root}: no finished runs below it; run for instance scripts/compare.sh with this OUTPUT{reason}"
        )
    measured = _analyses(root, skipped)
    _check_data(tested, measured.values())
    for group in (runs, *shifted.values()):
        _check_cells(group)
    return Sources(root, runs, shifted, adapters, measured, skipped)


def _only(methods: Collection[str], runs: list[Run]) -> list[Run]:
    """Runs of the named methods, or all where none is named."""
    known = sorted({run.method for run in runs})
    strangers = [method for method in methods if method not in known]
    if strangers:
        raise InputError(f"--methods: there are no runs of '{strangers[0]}', but of: {', '.join(known) or 'nothing'}")
    return [run for run in runs if not methods or run.method in methods]


def _check_data(runs: Iterable[Run], measured: Iterable[analyses.Analysis]) -> None:
    """Raise InputError if test images of one name are not the same everywhere."""
    found = [(run.dataset, run.data.get("test"), run.folder) for run in runs]
    found += [(analysis.dataset, analysis.data, f"overlap of {analysis.dataset}") for analysis in measured]
    first: dict[str, tuple[str, str]] = {}
    for dataset, digest, place in found:
        if digest and (other := first.setdefault(dataset, (digest, place)))[0] != digest:
            raise InputError(
                f"{place}: its test images are not those of {other[1]}, though both are of '{dataset}'; rename the "
                f"YAML of one dataset and run it again, or give it an OUTPUT of its own"
            )


def _check_cells(runs: Sequence[Run]) -> None:
    """Raise InputError if two runs fall in one table cell under one seed, or if the seeds averaged in a cell used
    different weights or tuning protocols."""
    variant = variants(runs)
    places: dict[tuple[object, ...], Run] = {}
    cells: dict[tuple[object, ...], Run] = {}
    for run in runs:
        cell = (run.dataset, run.method + variant(run), run.shots)
        twin = places.setdefault((*cell, run.seed), run)
        if twin is not run:
            raise InputError(f"{twin.folder} and {run.folder}: two runs of the same; remove one of the folders")
        other = cells.setdefault(cell, run)
        for key in ("backbone_sha256", "adapter_sha256", "protocol"):
            mine, others = getattr(run, key), getattr(other, key)
            if mine != others:
                raise InputError(
                    f"{run.folder}: '{key}' is {_words(mine)}, in {other.folder} {_words(others)}; "
                    f"give runs of other weights or protocols an OUTPUT of their own"
                )


def _words(value: str | Protocol | None) -> str:
    """A value in an error's text; of a protocol, the option too, since two options may have the same words."""
    return f"{str(value)!r} under {value.validation!r}" if isinstance(value, Protocol) else repr(value)


def _analyses(root: Path, skipped: list[str]) -> dict[str, analyses.Analysis]:
    """The overlap.json files, by dataset; what is none goes to `skipped`."""
    found: dict[str, analyses.Analysis] = {}
    for path in sorted(root.glob(f"overlap/*/{analyses.FILE_NAME}")):
        try:
            content = analyses.read_analysis(path)
            found[content.dataset] = content
        except InputError as error:
            skipped.append(visible(str(error).removeprefix(f"{root}/")))
    return found
