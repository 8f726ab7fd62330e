"""Tables of accuracy, methods x datasets and their average, and of gains with their paired tests."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from imo.results import Result
from imo.workbench.report.formats import Entry, Table, number
from imo.workbench.report.statistics import sign_flip
from imo.workbench.report.tables import AnyResult, Cell, averages, comparison, variants


def seeds_of(runs: Sequence[Result]) -> list[int]:
    """Seeds that a complete cell has: those of any run that uses shots."""
    return sorted({run.seed for run in runs if run.shots != 0})


def corrections_of(runs: Iterable[Result]) -> list[str]:
    """The corrections there are, always in the same order."""
    return list(dict.fromkeys(["none", "adapter", *(run.correction for run in runs)]))


def with_average(runs: Sequence[AnyResult], name: str = "average") -> list[AnyResult]:
    """Runs, and the average over all their datasets, where there are several: of each seed that all datasets have."""
    datasets = dict.fromkeys(run.dataset for run in runs)
    # A method without shots is the same whatever the seed, and may have run under another on each dataset.
    plain = [replace(run, seed=0) if run.shots == 0 else run for run in runs]
    return [*plain, *(averages(plain, datasets, name) if len(datasets) > 1 else [])]


def transductive(runs: Iterable[Result]) -> str:
    """A sentence that names the methods whose prediction for one test image depends on the others; or nothing."""
    runs = list(runs)
    variant = variants(runs)
    named = dict.fromkeys(run.method + variant(run) for run in runs if run.transductive)
    return f" Transductive (one test image's prediction depends on the others): {', '.join(named)}." if named else ""


def cell_entry(cell: Cell | None, most: int = 0, sign: str = "", best: bool = False) -> Entry:
    """A cell in a table; one of fewer than `most` seeds says so."""
    return Entry("missing") if cell is None else Entry(cell.text(sign, most, of=True), cell.mean, best)


def accuracy_table(runs: Sequence[Result], shots: int, name: str, title: str) -> Table:
    """Methods x datasets at one number of shots, methods without shots beside them; best of the complete in bold."""
    there = {run.dataset for run in runs if run.shots == shots}
    chosen = with_average([run for run in runs if run.shots in (0, shots) and run.dataset in there])
    rows = comparison(chosen).rows
    cells = {(dataset, method): cell for (dataset, method, _), cell in rows.items()}  # a method has 0 shots or `shots`
    datasets, seeds = list(dict.fromkeys(run.dataset for run in chosen)), seeds_of(runs)
    most = {method: k and len(seeds) for _, method, k in rows}  # seeds of a complete cell
    full = [place for place, cell in cells.items() if len(cell.values) >= most[place[1]]]
    best = {name: max((cells[place].mean for place in full if place[0] == name), default=None) for name in datasets}

    def entry(dataset: str, method: str) -> Entry:
        place = (dataset, method)
        is_best = place in full and cells[place].mean == best[dataset]
        return cell_entry(cells.get(place), most[method], best=is_best)

    methods = sorted(most, key=lambda method: most[method] > 0)  # those without shots first
    lines = tuple((Entry(method), *(entry(dataset, method) for dataset in datasets)) for method in methods)
    note = (
        f"Accuracy in percent, mean ± sample standard deviation over n={len(seeds)} seeds "
        f"({', '.join(map(str, seeds))}); the best complete mean in bold. The average takes a seed only where all "
        f"datasets have it.{transductive(chosen)}"
    )
    return Table(name, title, ("method", *datasets), lines, note)


def gain_table(runs: Sequence[Result], name: str, title: str) -> Table:
    """Gain of each correction at each number of shots, by dataset and over all, with its tests."""
    gains = comparison(runs).gains if runs else {}
    datasets = list(dict.fromkeys(dataset for dataset, _, _ in gains))
    lines = []
    for method in dict.fromkeys(method for _, method, _ in gains):
        for shots in sorted({k for _, m, k in gains if m == method}):
            cells = [gains.get((dataset, method, shots)) for dataset in datasets]
            lines.append((Entry(method), number(shots), *_gain(cells)))
    note = (
        "Percentage points, mean ± sample standard deviation of the differences between runs of the same dataset and "
        "seed. p: two-sided sign-flip permutation test of a mean difference of 0, exact up to 16 differences, else "
        "100,000 drawn sign patterns; first over seeds × datasets, which takes seeds of one dataset for independent "
        "evidence, then over the datasets' mean gains, which does not (its least value is 2 / 2^datasets)."
    )
    header = ("method", "shots", *datasets, "all", "pairs", "p (pairs)", "p (datasets)")
    return Table(name, title, header, tuple(lines), note)


def _gain(cells: Sequence[Cell | None]) -> list[Entry]:
    pairs = [value for cell in cells if cell for value in cell.values]
    means = [cell.mean for cell in cells if cell]
    tests = [sign_flip(pairs), sign_flip(means)]
    return [
        *(cell_entry(cell, sign="+") for cell in cells),
        number(statistics.fmean(means), "+.1f"),
        number(len(pairs)),
        *(Entry(f"{p:.2g}" if p >= 0.001 else "< 0.001", p) for p in tests),
    ]
