"""What a report is made of, read from an output folder and checked: runs, overlap analyses, search surfaces."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imo.errors import InputError
from imo.results import FILE_NAME, fault, find_results
from imo.workbench.report.tables import Run, method_name, trains_adapters, variants

_SURFACE = ("alphas", "betas", "gammas", "correct", "n")


@dataclass(frozen=True)
class Sources:
    """Contents of an output folder.

    Attributes:
        runs: finished runs tested on the dataset they were made on.
        shifted: those tested on another, by the name of the dataset they were made on.
        adapters: those that trained a correction, and are no method to compare.
        analyses: contents of overlap/*/overlap.json, by dataset.
        skipped: files that are no results, with the reason.
    """

    root: Path
    runs: list[Run]
    shifted: dict[str, list[Run]]
    adapters: list[Run]
    analyses: dict[str, Mapping[str, Any]]
    skipped: list[str] = field(default_factory=list)

    def surface(self, run: Run) -> dict[str, NDArray[Any]] | None:
        """A run's surface.npz: alphas (A,), betas (B,), gammas (G,), correct (A, B, G), n (); None without one."""
        path = self.root / run["folder"] / "surface.npz"
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in _SURFACE}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: damaged ({error}); remove the run's folder and run it again") from error
        shape = tuple(found[name].size for name in _SURFACE[:3])
        if found["correct"].shape != shape or not found["correct"].size or int(found["n"]) < 1:
            raise InputError(f"{path}: 'correct' is {found['correct'].shape}, axes are {shape}; run it again")
        return found


def gather(root: str | Path, methods: Collection[str] = ()) -> Sources:
    """Read an output folder; of some methods only, where they are named.

    Raises:
        InputError: no finished runs, a method that has none, two runs for one place in the tables, or seeds of
            different weights or protocols.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the OUTPUT of finished runs")
    found: list[Run] = list(find_results(root))
    skipped = [f"{run['folder']}/{FILE_NAME}: {reason}" for run in found if (reason := fault(run))]
    read = {run["folder"] for run in found}
    places = [path.relative_to(root) for path in sorted(root.rglob(FILE_NAME))]
    skipped += [
        f"{path.as_posix()}: not results of this version" for path in places if path.parent.as_posix() not in read
    ]
    valid = [run for run in found if not fault(run)]
    adapters = [run for run in valid if trains_adapters(run)]
    tested = _only(methods, [run for run in valid if not trains_adapters(run)])
    runs = [run for run in tested if run.get("trained_on", run["dataset"]) == run["dataset"]]
    shifted: dict[str, list[Run]] = {}
    for run in tested:
        if run.get("trained_on", run["dataset"]) != run["dataset"]:
            shifted.setdefault(str(run["trained_on"]), []).append(run)
    if not runs and not shifted:
        raise InputError(f"{root}: no finished runs below it; run for instance scripts/compare.sh with this OUTPUT")
    for group in (runs, *shifted.values()):
        _check_cells(group)
    return Sources(root, runs, shifted, adapters, _analyses(root, skipped), skipped)


def _only(methods: Collection[str], runs: list[Run]) -> list[Run]:
    """Runs of the named methods, or all where none is named."""
    known = sorted({method_name(run) for run in runs})
    strangers = [method for method in methods if method not in known]
    if strangers:
        raise InputError(f"--methods: there are no runs of '{strangers[0]}', but of: {', '.join(known) or 'nothing'}")
    return [run for run in runs if not methods or method_name(run) in methods]


def _check_cells(runs: list[Run]) -> None:
    """Each place of the tables is filled once, and its seeds differ in nothing but the seed."""
    variant = variants(runs)
    places: dict[tuple[object, ...], Run] = {}
    cells: dict[tuple[object, ...], Run] = {}
    for run in runs:
        cell = (run["dataset"], method_name(run) + variant(run), run["shots"])
        twin = places.setdefault((*cell, run["seed"]), run)
        if twin is not run:
            raise InputError(f"{twin['folder']} and {run['folder']}: two runs of the same; remove one of the folders")
        other = cells.setdefault(cell, run)
        for key in ("backbone_sha256", "adapter_sha256", "tuned_on"):
            if run[key] != other[key]:
                raise InputError(
                    f"{run['folder']}: '{key}' is {run[key]!r}, in {other['folder']} {other[key]!r}; "
                    f"give runs of other weights or protocols an OUTPUT of their own"
                )


def _analyses(root: Path, skipped: list[str]) -> dict[str, Mapping[str, Any]]:
    """Contents of overlap.json files that have what a report shows."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(root.glob("overlap/*/overlap.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            for correction in content["corrections"].values():
                for kind in ("image", "text"):
                    part = correction[kind]
                    shares = np.array([part["paired"], part["unpaired"]], dtype=np.float64)
                    numbers = [part["report"][key] for key in ("area", "separation", "paired", "unpaired", "images")]
                    numbers += [*part["report"]["interval"], *part["added_separation"]]
                    numbers += [pair["share"] for pair in part["confused"] if pair["class"] and pair["with"]]
                    if shares.ndim != 2 or not np.isfinite(shares).all() or not np.isfinite(numbers).all():
                        raise ValueError("numbers that are none")
            found[f"{content['dataset']}"] = {**content, "split": str(content["split"])}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            skipped.append(f"{path.relative_to(root).as_posix()}: not an overlap analysis ({error!r})")
    return found
