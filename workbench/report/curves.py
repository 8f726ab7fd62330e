"""Accuracy against shots. Readable without colour: methods differ in marker and line style."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from imo.results import Result
from imo.workbench.report.accuracy import corrections_of, seeds_of, with_average
from imo.workbench.report.panels import GREY, Figure, label, legend, panels, style, title, wrapped
from imo.workbench.report.tables import Cell, by_method, comparison, variants

Row = Mapping[int, Cell]  # a method's cells by shots
_STARS = ("*", "x", "+", "1", "2", "3", "4")  # methods without shots
_LINES = ("--", "-", "-.", ":")  # dashed without correction, solid with the adapter
_MOST_LINES = 8  # that can be told apart in one panel
_SHOTS = "labelled images a class (log scale)"


def curves(runs: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    """Accuracy against shots: pictures and their names; methods without shots are stars at 0.

    Up to eight methods share the panels of one picture, a panel for each dataset and for their average. More cannot be
    told apart: then each dataset gets a picture of its own, with a panel for each method and its corrected variants,
    and all others in grey. Bars are sample standard deviations over seeds; a hollow marker lacks seeds.
    """
    runs = [run for run in runs if run.shots >= 0]
    rows = comparison(with_average(runs)).rows
    seeds = len(seeds_of(runs))
    datasets = sorted(dict.fromkeys(dataset for dataset, _, _ in rows), key=lambda name: name != "average")
    by_dataset = {name: by_method(rows, name) for name in datasets}
    if len({method for _, method, shots in rows if shots}) <= _MOST_LINES:
        yield "curves", _together(runs, by_dataset, seeds)
        return
    for name, row in by_dataset.items():
        yield "curves" if name == datasets[0] else f"curves-{name}", _families(runs, name, row, seeds)


def _together(runs: Sequence[Result], by_dataset: Mapping[str, Mapping[str, Row]], seeds: int) -> Figure:
    """A panel for each dataset, with all methods: of a colour and marker each, with a line for the correction."""
    variant = variants(runs)
    methods = {run.method + variant(run): run.correction for run in runs if run.shots != 0}
    order = corrections_of(runs)
    lines = [_LINES[order.index(correction) % len(_LINES)] for correction in methods.values()]
    styles = {method: style(i, linestyle=line) for i, (method, line) in enumerate(zip(methods, lines))}
    figure, axes = panels(len(by_dataset), 3.6, 2.8)
    handles: dict[str, Any] = {}
    without = _without_shots(by_dataset.values())
    for axis, (dataset, rows) in zip(axes, by_dataset.items()):
        for method, row in rows.items():
            if method in without:
                handles[method] = _star(axis, row, without.index(method))
            else:
                handles[method] = _line(axis, row, seeds, styles[method])
        title(figure, axis, dataset, bold=dataset == "average")
        _shots_axis(axis, rows.values())
    label(figure, axes, _SHOTS, "accuracy (%)")
    legend(figure, handles)
    return figure


def _families(runs: Sequence[Result], dataset: str, rows: Mapping[str, Row], seeds: int) -> Figure:
    """Of one dataset, a panel for each method with its corrected variants, before all others in grey."""
    variant = variants(runs)
    place = {run.method + variant(run): (run.base or run.method) + variant(run) for run in runs if run.shots}
    corrections = {run.method + variant(run): run.correction for run in runs}
    order = corrections_of(runs)
    styles = {name: style(i, linestyle=_LINES[i % len(_LINES)]) for i, name in enumerate(order)}
    without = _without_shots([rows])
    families: dict[str, list[str]] = {}
    for method in rows:
        if method not in without:
            families.setdefault(place[method], []).append(method)
    for members in families.values():
        members.sort(key=lambda method: order.index(corrections[method]))
    figure, axes = panels(len(families), 2.7, 2.3, most=4, sharey=True)
    handles: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for axis, members in zip(axes, families.values()):
        for method, row in rows.items():
            if method not in members and method not in without:
                shots = sorted(row)
                means = [row[k].mean for k in shots]
                (others["other methods"],) = axis.plot(_places(shots), means, color=GREY, linewidth=0.8, zorder=1)
        for i, method in enumerate(without):
            others[method] = _star(axis, rows[method], i)
        for method in members:
            correction = corrections[method]
            handles[correction] = _line(axis, rows[method], seeds, styles[correction])
        title(figure, axis, ", ".join(members))
        _shots_axis(axis, rows.values())
    shown = {f"correction: {name}": handles[name] for name in order if name in handles}
    figure.suptitle(wrapped(dataset, 8 * figure.get_figwidth()), fontsize=11, fontweight="bold")
    label(figure, axes, _SHOTS, "accuracy (%)")
    legend(figure, {**shown, **others})
    return figure


def _without_shots(tables: Iterable[Mapping[str, Row]]) -> list[str]:
    return list(dict.fromkeys(method for rows in tables for method, row in rows.items() if set(row) == {0}))


def _line(axis: Any, row: Row, seeds: int, style: Mapping[str, str]) -> Any:
    """A method's curve with its bars; hollow where seeds are missing."""
    shots = sorted(row)
    means = [row[k].mean for k in shots]
    spread = [row[k].std or 0.0 for k in shots]
    handle = axis.errorbar(_places(shots), means, spread, capsize=2, elinewidth=0.8, markersize=5, **style)
    fewer = [k for k in shots if len(row[k].values) < seeds]
    hollow = {**style, "linestyle": "", "markerfacecolor": "white", "zorder": 3}
    axis.plot(_places(fewer), [row[k].mean for k in fewer], markersize=5, **hollow)
    return handle


def _star(axis: Any, row: Row, number: int) -> Any:
    """A method without shots."""
    marker = _STARS[number % len(_STARS)]
    (handle,) = axis.plot(0, row[0].mean, linestyle="", marker=marker, markersize=8, color="black", zorder=3)
    return handle


def _places(shots: Iterable[int]) -> list[float]:
    """Places of numbers of shots on their axis: 0, 1, 2, 4, 8 ... are equally far apart."""
    return [1 + math.log2(k) if k else 0.0 for k in shots]


def _shots_axis(axis: Any, rows: Iterable[Row]) -> None:
    """Ticks at the numbers of shots there are, as far as their labels have room."""
    ticks: list[int] = []
    for k in sorted({k for row in rows for k in row}):
        if not ticks or _places([k])[0] - _places(ticks)[-1] > 0.4:
            ticks.append(k)
    axis.set_xticks(_places(ticks), [str(k) for k in ticks])
    axis.grid(alpha=0.3)
