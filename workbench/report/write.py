"""Puts a report together and writes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from imo.files import atomic_path
from imo.workbench.report import figures
from imo.workbench.report.accuracy import accuracy_table, gain_table
from imo.workbench.report.claims import correlation_table, points, robustness_table, variance_table
from imo.workbench.report.curves import curves
from imo.workbench.report.formats import Table
from imo.workbench.report.html import page, provenance
from imo.workbench.report.load import Sources
from imo.workbench.report.overlaps import analysis_tables
from imo.workbench.report.panels import save
from imo.workbench.report.tables import comparison


def write(sources: Sources, folder: Path) -> tuple[list[Table], Path]:
    """Write tables (.md, .csv, .tex), pictures (.png, .svg) and, last, report.html.

    Returns:
        The tables, and the page's path.
    """
    runs = sources.runs
    searched = _surfaces(sources)  # before anything is written: a file may be damaged
    found = points(runs)
    pictures: dict[str, dict[str, Path]] = {"accuracy": {}, "overlap": {}, "search": {}}

    def draw(section: str, name: str, caption: str, figure: Figure) -> None:
        pictures[section][caption] = save(figure, folder / name)[1]

    if any(run.shots > 0 for run in runs):
        for name, figure in curves(runs):
            where = name.removeprefix("curves").removeprefix("-")
            caption = (
                f"Accuracy against labelled images a class{where and f', {where}'}. Bars: sample standard deviation; "
                f"hollow: seeds missing."
            )
            draw("accuracy", _file(name), caption, figure)
    if found:
        caption = (
            "Gain of accuracy against reduction of overlap. Small: a method and number of shots; large: their mean, "
            "with their ranges."
        )
        draw("overlap", "gain_vs_overlap", caption, figures.scatter(found))
    for dataset, analysis in sources.analyses.items():
        kinds: dict[Literal["image", "text"], str] = {"image": "images and images", "text": "images and class texts"}
        for kind, what in kinds.items():
            caption = f"{dataset}, {analysis.split} images: cosine similarities of {what}."
            draw("overlap", _file(f"overlap_{kind}-{dataset}"), caption, figures.histograms(analysis, kind))
    for dataset, surfaces in searched.items():
        caption = f"{dataset}: validation accuracy over the search grid, at the best gamma. Cross: the setting taken."
        draw("search", _file(f"surface-{dataset}"), caption, figures.heat_maps(surfaces))

    shots = sorted({run.shots for run in runs} - {0}) or [0] * bool(runs)
    accuracy = [
        accuracy_table(runs, k, f"accuracy_{k}shots", "All data" if k < 0 else f"{k} shot{'s' * (k != 1)}")
        for k in shots
    ]
    accuracy.append(gain_table(runs, "gains", "Gain of each correction over its base"))
    overlaps = [correlation_table(found), variance_table(runs), *analysis_tables(sources.analyses)]
    accuracy, overlaps = ([table for table in tables if table.rows] for tables in (accuracy, overlaps))
    shifts = [
        robustness_table(source, runs, shifted, _file(f"shift-{source}")) for source, shifted in sources.shifted.items()
    ]
    every = [*runs, *(run for shifted in sources.shifted.values() for run in shifted), *sources.adapters]
    for table in (*accuracy, *overlaps, *shifts, provenance(every)):
        for suffix, text in ((".md", table.markdown()), (".csv", table.csv()), (".tex", table.latex())):
            _save(folder / f"{table.name}{suffix}", text)
    if runs:
        comparison(runs).write_csv(folder / "accuracy.csv")
    sections = {
        "Accuracy": (accuracy, pictures["accuracy"]),
        "Overlap": (overlaps, pictures["overlap"]),
        "Shifted test sets": (shifts, {}),
        "Search": ([], pictures["search"]),
    }
    path = folder / "report.html"
    _save(path, page(sections, every, sources.skipped))
    return [*accuracy, *overlaps, *shifts], path


def _surfaces(sources: Sources) -> dict[str, dict[str, figures.Surface]]:
    """By dataset, the search surface of each method at its most shots and first seed, where a run left one."""
    found: dict[str, dict[str, figures.Surface]] = {}
    order = sorted(sources.runs, key=lambda run: (-run.shots, run.seed))
    for run in order:
        panels = found.setdefault(run.dataset, {})
        if any(title.startswith(f"{run.method}, ") for title in panels):
            continue
        surface = sources.surface(run)
        if surface is not None:
            panels[f"{run.method}, {run.shots} shots, seed {run.seed}"] = surface
    return {dataset: panels for dataset, panels in found.items() if panels}


def _file(name: str) -> str:
    """A name from a file's content, as a file name."""
    return re.sub(r"[^\w.-]", "_", name)


def _save(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
