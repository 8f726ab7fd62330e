"""Tables of accuracy, methods x datasets and their average, and of gains with their paired tests."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from imo.results import Result
from imo.workbench.report.formats import Entry, Table
from imo.workbench.report.statistics import sign_flip
from imo.workbench.report.tables import AnyResult, Cell, averages, comparison, variants

_MISSING = Entry("missing")


def seeds_of(runs: Sequence[Result]) -> list[int]:
    """Seeds that a complete cell has: those of any run that uses shots."""
    return sorted({run.seed for run in runs if run.shots != 0})


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


def accuracy_table(runs: Sequence[Result], shots: int, name: str, title: str) -> Table:
    """Methods x datasets at one number of shots, methods without shots beside them; best of the complete in bold."""
    there = {run.dataset for run in runs if run.shots == shots}
    chosen = with_average([run for run in runs if run.shots in (0, shots) and run.dataset in there])
    rows = comparison(chosen).rows
    cells = {place: next(iter(row.values())) for place, row in rows.items()}  # a method has 0 shots or `shots`
    datasets = list(dict.fromkeys(run.dataset for run in chosen))
    without = {method for (_, method), row in rows.items() if 0 in row}
    methods = sorted(dict.fromkeys(method for _, method in rows), key=lambda method: method not in without)
    seeds = seeds_of(runs)
    full = {place: place[1] in without or len(cell.values) == len(seeds) for place, cell in cells.items()}
    best = {
        dataset: max((cells[d, m].mean for d, m in cells if d == dataset and full[d, m]), default=None)
        for dataset in datasets
    }

    def entry(dataset: str, method: str) -> Entry:
        cell = cells.get((dataset, method))
        if cell is None:
            return _MISSING
        fewer = "" if full[dataset, method] else f" (n={len(cell.values)} of {len(seeds)})"
        return Entry(cell.text() + fewer, cell.mean, full[dataset, method] and cell.mean == best[dataset])

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
    datasets = list(dict.fromkeys(dataset for dataset, _ in gains))
    lines = []
    for method in dict.fromkeys(method for _, method in gains):
        for shots in sorted({k for (_, m), row in gains.items() if m == method for k in row}):
            by_dataset = {d: gains[d, method][shots] for d in datasets if shots in gains.get((d, method), {})}
            lines.append((Entry(method), Entry(str(shots), shots), *_gain(datasets, by_dataset)))
    note = (
        "Percentage points, mean ± sample standard deviation of the differences between runs of the same dataset and "
        "seed. p: two-sided sign-flip permutation test of a mean difference of 0, exact up to 16 differences, else "
        "100,000 drawn sign patterns; first over seeds × datasets, which takes seeds of one dataset for independent "
        "evidence, then over the datasets' mean gains, which does not (its least value is 2 / 2^datasets)."
    )
    header = ("method", "shots", *datasets, "all", "pairs", "p (pairs)", "p (datasets)")
    return Table(name, title, header, tuple(lines), note)


def _gain(datasets: Sequence[str], by_dataset: dict[str, Cell]) -> list[Entry]:
    pairs = [value for cell in by_dataset.values() for value in cell.values]
    means = [cell.mean for cell in by_dataset.values()]
    tests = [sign_flip(pairs), sign_flip(means)]
    return [
        *(Entry(by_dataset[d].text("+"), by_dataset[d].mean) if d in by_dataset else _MISSING for d in datasets),
        Entry(f"{statistics.fmean(means):+.1f}", statistics.fmean(means)),
        Entry(str(len(pairs)), len(pairs)),
        *(Entry(f"{p:.2g}" if p >= 0.001 else "< 0.001", p) for p in tests),
    ]
