"""The paper's claims, held against the runs: gain goes with less overlap (a), robustness to shift (b), variance (c).

Each table says in how many cases a claim holds; nothing here supposes that it does.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from imo.measure.overlap import OverlapReport
from imo.results import Result
from imo.workbench.report.accuracy import cell_entry, seeds_of, transductive, with_average
from imo.workbench.report.formats import Entry, Table, number
from imo.workbench.report.statistics import spearman, spearman_interval
from imo.workbench.report.tables import comparison, variants


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
    for shots in [*sorted({point.shots for point in found}), None] if found else []:
        chosen = [point for point in found if shots is None or point.shots == shots]
        datasets = [point.dataset for point in chosen]
        entries = []
        for changes in ([p.less_area for p in chosen], [p.separation for p in chosen]):
            gains = [point.gain for point in chosen]
            rho, interval = spearman(changes, gains), spearman_interval(changes, gains, datasets)
            bounds = f" [{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else " [too few datasets]"
            entries.append(Entry(f"{rho:+.2f}{bounds}", rho) if rho is not None else Entry("does not vary"))
        sizes = (len(chosen), len(set(datasets)))
        lines.append((Entry("all") if shots is None else number(shots), *entries, *map(number, sizes)))
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
        lines.append((Entry(dataset + suffix), Entry(correction), *(number(x, ".3f") for x in numbers)))
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
    columns = sorted(dict.fromkeys((m, k) for _, m, k in tested.rows), key=lambda column: column[1])
    corrected = [column for column in columns if column in {(m, k) for _, m, k in tested.gains}]
    most = len(seeds_of(runs))
    lines = [
        (
            Entry(target + " (source)" * (target == source)),
            *(cell_entry(tested.rows.get((target, m, k)), k and most) for m, k in columns),
            *(cell_entry(tested.gains.get((target, m, k)), most, "+") for m, k in corrected),
        )
        for target in dict.fromkeys(dataset for dataset, _, _ in tested.rows)
    ]
    gains = {place: gain.mean for place, gain in tested.gains.items()}
    elsewhere = [place for place in gains if place[0] not in (source, "average")]
    positive = [gains[place] > 0 for place in elsewhere]
    more = [gains[t, m, k] > gains[source, m, k] for t, m, k in elsewhere if (source, m, k) in gains]
    note = (
        f"Claim (b): corrections make methods more robust to shift. They gain in {sum(positive)} of {len(positive)} "
        f"cases, and more than on {source} itself in {sum(more)} of {len(more)}. State and settings made on {source} "
        f"are kept; accuracy in percent, over n={most} seeds.{transductive(runs)}"
    )
    header = ("target", *(f"{m}, {k} shots" for m, k in columns), *(f"gain of {m}, {k} shots" for m, k in corrected))
    return Table(name, f"Shifted test sets of {source}", header, tuple(lines), note)
