"""The paper's claims, held against the runs: gain goes with less overlap (a), robustness to shift (b), variance (c).

Each table says in how many cases a claim holds; nothing here supposes that it does.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from imo.measure.overlap import OverlapReport
from imo.results import Result
from imo.workbench.report.accuracy import seeds_of, transductive, with_average
from imo.workbench.report.formats import Entry, Table
from imo.workbench.report.statistics import spearman, spearman_interval
from imo.workbench.report.tables import Cell, comparison, variants


@dataclass(frozen=True)
class Point:
    """A corrected method at one dataset and number of shots, against its base; means over the seeds that both have.

    Attributes:
        correction: of the method's features.
        less_area: overlap area of the base's validation images less that of the corrected ones.
        separation: what the correction adds to the separation of paired from unpaired similarities.
        gain: percentage points of accuracy.
    """

    dataset: str
    method: str
    shots: int
    correction: str
    less_area: float
    separation: float
    gain: float


def points(runs: Sequence[Result]) -> list[Point]:
    """Every corrected method with an overlap, beside its base with one."""
    variant = variants(runs)
    place = {(run.dataset, run.method + variant(run), run.shots, run.seed): run for run in runs if run.overlap}
    pairs: dict[tuple[str, str, int], list[tuple[Result, Result]]] = {}
    for (dataset, method, shots, seed), run in place.items():
        base = place.get((dataset, (run.base or "") + variant(run), shots, seed))
        if base is not None:
            pairs.setdefault((dataset, method, shots), []).append((base, run))

    def change(pair: list[tuple[Result, Result]], key: str) -> float:
        return statistics.fmean(getattr(after.overlap, key) - getattr(before.overlap, key) for before, after in pair)

    def gain(pair: list[tuple[Result, Result]]) -> float:
        return statistics.fmean(after.accuracy - before.accuracy for before, after in pair)

    return [
        Point(*cell, pair[0][1].correction, -change(pair, "area"), change(pair, "separation"), gain(pair))
        for cell, pair in pairs.items()
    ]


def correlation_table(found: Sequence[Point]) -> Table:
    """Rank correlation of gain with less overlap area and with more separation, by number of shots and over all."""
    lines = []
    for shots in [*sorted({point.shots for point in found}), None]:
        chosen = [point for point in found if shots is None or point.shots == shots]
        datasets = [point.dataset for point in chosen]
        entries = []
        for changes in ([p.less_area for p in chosen], [p.separation for p in chosen]):
            gains = [point.gain for point in chosen]
            rho, interval = spearman(changes, gains), spearman_interval(changes, gains, datasets)
            bounds = f" [{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else " [too few datasets]"
            entries.append(Entry(f"{rho:+.2f}{bounds}", rho) if rho is not None else Entry("does not vary"))
        sizes = (len(chosen), len(set(datasets)))
        lines.append(
            (Entry("all" if shots is None else str(shots), shots), *entries, *(Entry(str(n), n) for n in sizes))
        )
    note = (
        "Claim (a): the more a correction lowers overlap, the more accuracy it adds (positive ρ). Spearman's ρ over "
        "methods and datasets, with a 95 % percentile interval over resampled datasets: points of one dataset share "
        "their images. With fewer than about ten datasets the interval is rough."
    )
    header = ("shots", "ρ with less area", "ρ with more separation", "points", "datasets")
    return Table("gain_vs_overlap", "Gain against overlap", header, tuple(lines), note)


def variance_table(runs: Sequence[Result]) -> Table:
    """Overlap and variance of validation images under each correction."""
    found: dict[tuple[str, str, str], OverlapReport] = {}
    variant = variants(runs)
    for run in runs:
        if run.overlap:
            found.setdefault((run.dataset, variant(run), run.correction), run.overlap)
    lines, held, compared = [], 0, 0
    for (dataset, suffix, correction), o in found.items():
        before = found.get((dataset, suffix, "none"))
        if correction != "none" and before:
            compared += 1
            held += _total(o) > _total(before)
        within, between = o.within_variance, o.between_variance
        ratio = between / within if within else float("inf")
        numbers = [o.area, o.separation, o.paired, o.unpaired, within, between, _total(o), ratio]
        lines.append((Entry(dataset + suffix), Entry(correction), *(Entry(f"{x:.3f}", x) for x in numbers)))
    note = (
        f"Claim (c): corrected features have a higher variance. The total is higher in {held} of {compared} cases. "
        f"Validation images, normalised features; variances are mean squared distances."
    )
    header = (
        "dataset", "correction", "area", "separation", "paired mean", "unpaired mean", "within", "between", "total",
        "between / within",
    )  # fmt: skip
    return Table("variance", "Overlap and feature variance", header, tuple(lines), note)


def _total(overlap: OverlapReport) -> float:
    return overlap.within_variance + overlap.between_variance


def robustness_table(source: str, own: Sequence[Result], runs: Sequence[Result], name: str) -> Table:
    """Targets x methods: accuracy of what was made on `source`, and the gain of each correction.

    Args:
        source: a dataset.
        own: runs tested on it.
        runs: runs made on it, tested on others.
    """
    kept = {(run.method, run.shots) for run in runs}
    own = [run for run in own if run.dataset == source and (run.method, run.shots) in kept]
    tested = comparison([*own, *with_average(runs)])
    columns = sorted(
        dict.fromkeys((m, k) for (_, m), row in tested.rows.items() for k in row), key=lambda column: column[1]
    )
    corrected = [c for c in columns if any(c[0] == m and c[1] in row for (_, m), row in tested.gains.items())]
    targets = list(dict.fromkeys(dataset for dataset, _ in tested.rows))
    most = len(seeds_of(runs))
    lines, positive, more = [], [], []
    at_source: dict[tuple[str, int], float] = {}
    for target in targets:
        cells = [tested.rows.get((target, method), {}).get(shots) for method, shots in columns]
        gains = [tested.gains.get((target, method), {}).get(shots) for method, shots in corrected]
        lines.append(
            (
                Entry(target + " (source)" * (target == source)),
                *(_entry(cell, shots and most) for cell, (_, shots) in zip(cells, columns)),
                *(_entry(gain, most, "+") for gain in gains),
            )
        )
        for column, gain in zip(corrected, gains):
            if gain and target == source:
                at_source[column] = gain.mean
            elif gain and target != "average":
                positive.append(gain.mean > 0)
                more += [gain.mean > at_source[column]] if column in at_source else []
    note = (
        f"Claim (b): corrections make methods more robust to shift. They gain in {sum(positive)} of {len(positive)} "
        f"cases, and more than on {source} itself in {sum(more)} of {len(more)}. State and settings made on {source} "
        f"are kept; accuracy in percent, over n={most} seeds.{transductive(runs)}"
    )
    header = ("target", *(f"{m}, {k} shots" for m, k in columns), *(f"gain of {m}, {k} shots" for m, k in corrected))
    return Table(name, f"Shifted test sets of {source}", header, tuple(lines), note)


def _entry(cell: Cell | None, most: int, sign: str = "") -> Entry:
    """`most` seeds make it complete; 0 for a method that needs no more than one."""
    if cell is None:
        return Entry("missing")
    fewer = f" (n={len(cell.values)} of {most})" if len(cell.values) < most else ""
    return Entry(cell.text(sign) + fewer, cell.mean)
