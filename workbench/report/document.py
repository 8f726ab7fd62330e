"""docs/RESULTS.md: what the finished runs of an output folder found, as one Markdown file with its pictures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from imo.files import atomic_path
from imo.workbench.report import figures
from imo.workbench.report.accuracy import accuracy_table, corrections_of, seeds_of, transductive, with_average
from imo.workbench.report.analyses import Analysis
from imo.workbench.report.claims import correlation_table, points, variance_table
from imo.workbench.report.curves import curves
from imo.workbench.report.formats import Entry, Table, number
from imo.workbench.report.html import environment, protocol
from imo.workbench.report.load import Run, Sources
from imo.workbench.report.overlaps import analysis_tables
from imo.workbench.report.panels import save
from imo.workbench.report.tables import Cell, by_method, comparison, shots_text, variants
from imo.workbench.report.timing import seconds

AVERAGE = "average of datasets"
_PICTURED = ("ZeroshotCLIP", "TipX", "TipXPP")  # the paper's pair and where it starts


def document(sources: Sources) -> str:
    """The Markdown: methods side by side, gains, overlaps, and all numbers by dataset."""
    runs = _ordered(sources.runs)
    found, shots = points(runs), max((run.shots for run in runs), default=0)
    return environment(autoescape=False).get_template("results.md.j2").render(
        runs=runs,
        protocol=protocol(runs),
        transductive=transductive(runs).strip(),
        side_by_side=_timed(accuracy_table(runs, shots, "side_by_side", f"Accuracy at {shots} shots"), runs),
        corrections=_corrections(runs),
        correlation=correlation_table(found),
        variance=variance_table(runs),
        analyses=analysis_tables(sources.analyses),
        pictured=_clearest(sources.analyses),
        datasets=_by_dataset(runs),
        skipped=sources.skipped,
    )  # fmt: skip


def write_document(sources: Sources, path: Path) -> list[Path]:
    """Write the document, and beside it curves.png and, where overlap was analysed, overlap.png; returns the paths."""
    written = [path]
    with atomic_path(path) as temporary:
        temporary.write_text(document(sources), encoding="utf-8")
    pair = [run for run in sources.runs if run.method in _PICTURED]
    shown = pair if any(run.shots > 0 for run in pair) else sources.runs
    if any(run.shots > 0 for run in shown):
        _, figure = next(iter(curves(shown)))
        written += save(figure, path.parent / "curves", ("png",))
    analysis = _clearest(sources.analyses)
    if analysis is not None:
        written += save(figures.histograms(analysis), path.parent / "overlap", ("png",))
    return written


def _ordered(runs: Sequence[Run]) -> list[Run]:
    """By dataset; of each, methods without shots first, then each method before its corrected variants."""
    datasets = list(dict.fromkeys(run.dataset for run in runs))
    families = list(dict.fromkeys(run.base or run.method for run in runs))
    corrections = corrections_of(runs)

    def place(run: Run) -> tuple[int, bool, int, int]:
        family, correction = families.index(run.base or run.method), corrections.index(run.correction)
        return datasets.index(run.dataset), run.shots != 0, family, correction

    return sorted(runs, key=place)


def _timed(table: Table, runs: Sequence[Run]) -> Table:
    """The table with each method's mean seconds a run, features in the store."""
    taken = {method: number(without, ".2f") for method, (without, _) in seconds(runs).items()}
    rows = tuple((*row, taken.get(row[0].text, Entry(""))) for row in table.rows)
    note = f"{table.note} s: seconds a run without encoding, mean over shots, seeds and datasets."
    return replace(table, header=(*table.header, "s"), rows=rows, note=note)


def _corrections(runs: Sequence[Run]) -> Table:
    """What each correction changes on each dataset, over methods and numbers of shots."""
    variant = variants(runs)
    correction_of = {run.method + variant(run): run.correction for run in runs}
    gains: dict[tuple[str, str], list[float]] = {}
    for (dataset, method, _), cell in comparison(runs).gains.items() if runs else ():
        gains.setdefault((dataset, correction_of[method]), []).append(cell.mean)
    areas: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        if run.overlap:
            areas.setdefault((run.dataset, run.correction), []).append(run.overlap.area)
    lines = []
    for (dataset, correction), found in gains.items():
        measured = (areas.get((dataset, name)) for name in ("none", correction))
        texts = [f"{statistics.fmean(area):.3f}" if area else "" for area in measured]
        texts += [f"{gain:+.1f}" for gain in (statistics.fmean(found), min(found), max(found))]
        losses = f"{sum(gain < 0 for gain in found)} of {len(found)}"
        lines.append(tuple(map(Entry, (dataset, correction, *texts, losses))))
    header = ("dataset", "correction", "area without", "area with", "mean gain", "least", "greatest", "losses")
    note = (
        "Area: overlap of the tuning images, mean over runs. Gains in percentage points, of the means over seeds, over "
        "all methods and numbers of shots."
    )
    return Table("corrections", "What corrections change", header, tuple(lines), note)


def _by_dataset(runs: Sequence[Run]) -> dict[str, tuple[str, list[Table]]]:
    """For each dataset and their average: what its numbers are, and tables of accuracies and gains over shots."""
    if not runs:
        return {}
    every = with_average(runs, AVERAGE)
    whole, most = comparison(every), len(seeds_of(runs))
    found: dict[str, tuple[str, list[Table]]] = {}
    for dataset in dict.fromkeys(run.dataset for run in every):
        caption = comparison([run for run in every if run.dataset == dataset]).caption.replace("\n", "  \n")
        accuracy = _over_shots("Accuracy", by_method(whole.rows, dataset), most, "")
        gains = _over_shots("Gains", by_method(whole.gains, dataset), most, "+")
        found[dataset] = caption, [table for table in (accuracy, gains) if table.rows]
    return found


def _over_shots(title: str, rows: Mapping[str, Mapping[int, Cell]], most: int, sign: str) -> Table:
    """Methods x shots; a cell that lacks seeds says how many it has."""
    shots = sorted({k for row in rows.values() for k in row})
    lines = tuple(
        (Entry(method), *(Entry(row[k].text(sign, k and most) if k in row else "") for k in shots))
        for method, row in rows.items()
    )
    return Table("over_shots", title, ("method", *map(shots_text, shots)), lines)


def _clearest(analyses: Mapping[str, Analysis]) -> Analysis | None:
    """The analysis in which a correction lowers the overlap of images most; None without any."""

    def lowered(analysis: Analysis) -> float:
        areas = [found.image.report.area for found in analysis.corrections.values()]
        return areas[0] - min(areas)

    return max(analyses.values(), key=lowered, default=None)
