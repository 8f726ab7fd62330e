"""Pictures of a report. Readable without colour: series differ in marker and line style, maps in lightness."""

from __future__ import annotations

import io
import itertools
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imo.errors import InputError
from imo.files import atomic_path
from imo.results import Result
from imo.workbench.report.accuracy import seeds_of, with_average
from imo.workbench.report.analyses import Analysis
from imo.workbench.report.claims import Point
from imo.workbench.report.tables import Cell, comparison, variants

try:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator
except ImportError as error:  # pragma: no cover
    raise InputError(f"pictures need the package {error.name}; pip install matplotlib") from error

Surface = Mapping[str, NDArray[Any]]  # arrays of surface.npz, see Sources.surface
Row = Mapping[int, Cell]  # a method's cells by shots
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")  # Okabe & Ito
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
_STARS = ("*", "x", "+", "1", "2", "3", "4")  # methods without shots
_LINES = ("--", "-", "-.", ":")  # dashed without correction, solid with the adapter
_MOST_LINES = 8  # that can be told apart in one panel
_GREY = "0.8"
_SHOTS = "labelled images a class (log scale)"


def save(figure: Figure, stem: Path, kinds: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write <stem>.png (of 128 colours, which keeps it small) and <stem>.svg, the same bytes for the same picture."""
    FigureCanvasAgg(figure)
    paths = [stem.with_suffix(f"{stem.suffix}.{kind}") for kind in kinds]
    for kind, path in zip(kinds, paths):
        with atomic_path(path) as temporary, matplotlib.rc_context({"svg.hashsalt": stem.name}):
            if kind == "svg":
                figure.savefig(temporary, format="svg", metadata={"Date": None})
            else:
                pixels = io.BytesIO()
                figure.savefig(pixels, format="png", dpi=150)
                Image.open(pixels).convert("RGB").quantize(128).save(temporary, format="png", optimize=True)
    return paths


def curves(runs: Sequence[Result]) -> Iterator[tuple[str, Figure]]:
    """Accuracy against shots: pictures and their names; methods without shots are stars at 0.

    Up to eight methods share the panels of one picture, a panel for each dataset and for their average. More cannot be
    told apart: then each dataset gets a picture of its own, with a panel for each method and its corrected variants,
    and all others in grey. Bars are sample standard deviations over seeds; a hollow marker lacks seeds.
    """
    runs = [run for run in runs if run.shots >= 0]
    rows = comparison(with_average(runs)).rows
    seeds = len(seeds_of(runs))
    datasets = sorted(dict.fromkeys(dataset for dataset, _ in rows), key=lambda name: name != "average")
    by_dataset = {name: {m: row for (d, m), row in rows.items() if d == name} for name in datasets}
    if len({method for (_, method), row in rows.items() if set(row) != {0}}) <= _MOST_LINES:
        yield "curves", _together(by_dataset, _styles(runs), seeds)
        return
    for name, row in by_dataset.items():
        yield "curves" if name == datasets[0] else f"curves-{name}", _families(runs, name, row, seeds)


def _together(by_dataset: Mapping[str, Mapping[str, Row]], styles: Mapping[str, dict[str, str]], seeds: int) -> Figure:
    """A panel for each dataset, with all methods."""
    figure, axes = _panels(len(by_dataset), 3.6, 2.8)
    handles: dict[str, Any] = {}
    without = _without_shots(by_dataset.values())
    for axis, (dataset, rows) in zip(axes, by_dataset.items()):
        for method, row in rows.items():
            if method in without:
                handles[method] = _star(axis, row, without.index(method))
            else:
                handles[method] = _line(axis, row, seeds, styles[method])
        _title(figure, axis, dataset, bold=dataset == "average")
        _shots_axis(axis, rows.values())
    _label(figure, axes, _SHOTS, "accuracy (%)")
    _legend(figure, handles)
    return figure


def _families(runs: Sequence[Result], dataset: str, rows: Mapping[str, Row], seeds: int) -> Figure:
    """Of one dataset, a panel for each method with its corrected variants, before all others in grey."""
    variant = variants(runs)
    place = {run.method + variant(run): (run.base or run.method) + variant(run) for run in runs if run.shots}
    corrections = {run.method + variant(run): run.correction for run in runs}
    order = list(dict.fromkeys(["none", "adapter", *corrections.values()]))
    styles = {
        name: {"color": _COLOURS[i % len(_COLOURS)], "marker": _MARKERS[i % len(_MARKERS)], "linestyle": line}
        for i, (name, line) in enumerate(zip(order, itertools.cycle(_LINES)))
    }
    without = _without_shots([rows])
    families: dict[str, list[str]] = {}
    for method in rows:
        if method not in without:
            families.setdefault(place[method], []).append(method)
    for members in families.values():
        members.sort(key=lambda method: order.index(corrections[method]))
    figure, axes = _panels(len(families), 2.7, 2.3, most=4, sharey=True)
    handles: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for axis, members in zip(axes, families.values()):
        for method, row in rows.items():
            if method not in members and method not in without:
                shots = sorted(row)
                means = [row[k].mean for k in shots]
                (others["other methods"],) = axis.plot(_places(shots), means, color=_GREY, linewidth=0.8, zorder=1)
        for i, method in enumerate(without):
            others[method] = _star(axis, rows[method], i)
        for method in members:
            correction = corrections[method]
            handles[correction] = _line(axis, rows[method], seeds, styles[correction])
        _title(figure, axis, ", ".join(members))
        _shots_axis(axis, rows.values())
    shown = {f"correction: {name}": handles[name] for name in order if name in handles}
    figure.suptitle(_wrapped(dataset, 8 * figure.get_figwidth()), fontsize=11, fontweight="bold")
    _label(figure, axes, _SHOTS, "accuracy (%)")
    _legend(figure, {**shown, **others})
    return figure


def _styles(runs: Sequence[Result]) -> dict[str, dict[str, str]]:
    """Colour and marker of each method, and a line for its correction: dashed for none."""
    variant = variants(runs)
    methods = {run.method + variant(run): run.correction for run in runs if run.shots != 0}
    corrections = list(dict.fromkeys(["none", "adapter", *methods.values()]))
    return {
        method: {
            "color": _COLOURS[i % len(_COLOURS)],
            "marker": _MARKERS[i % len(_MARKERS)],
            "linestyle": _LINES[corrections.index(correction) % len(_LINES)],
        }
        for i, (method, correction) in enumerate(methods.items())
    }


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
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)


def scatter(points: Sequence[Point]) -> Figure:
    """Gain against less overlap: a small dot a method and number of shots; a large one their mean, with their ranges.

    Shape and colour are the dataset, the filling is the correction: colour for the first, white, and grey.
    """
    figure, (axis,) = _panels(1, 6.4, 4.2)
    datasets = list(dict.fromkeys(point.dataset for point in points))
    corrections = sorted(dict.fromkeys(point.correction for point in points), key=lambda name: name != "adapter")
    for dataset in datasets:
        for correction in corrections:
            chosen = [p for p in points if (p.dataset, p.correction) == (dataset, correction)]
            if not chosen:
                continue
            style = _dot(datasets.index(dataset), corrections.index(correction))
            less, gains = [point.less_area for point in chosen], [point.gain for point in chosen]
            axis.plot(less, gains, linestyle="", markersize=3, alpha=0.5, **style)
            centre, mean = float(np.mean(less)), float(np.mean(gains))
            axis.vlines(centre, min(gains), max(gains), color=style["color"], linewidth=0.8, alpha=0.6)
            axis.hlines(mean, min(less), max(less), color=style["color"], linewidth=0.8, alpha=0.6)
            axis.plot(centre, mean, linestyle="", markersize=9, zorder=3, **style)
    for line in (axis.axhline, axis.axvline):
        line(0, color="black", linewidth=0.8, zorder=1)
    low, high = min(0.0, *(p.less_area for p in points)), max(0.0, *(p.less_area for p in points))
    margin = max(0.1 * (high - low), (0.1 - (high - low)) / 2)  # changes of area below 0.1 are small, and look it
    axis.set_xlim(low - margin, high + margin)
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.grid(alpha=0.3)
    axis.tick_params(labelsize=8)
    axis.set_xlabel("overlap area before − after correction (tuning images)", fontsize=9)
    axis.set_ylabel("gain of accuracy (points, test images)", fontsize=9)
    if len(datasets) == 1:
        _title(figure, axis, datasets[0])
    handles = {d: Line2D([], [], linestyle="", markersize=7, **_dot(i, 0)) for i, d in enumerate(datasets)}
    handles = handles if len(datasets) > 1 else {}
    for i, correction in enumerate(corrections):
        style = _dot(0, i, None if len(datasets) == 1 else "black")
        handles[f"correction: {correction}"] = Line2D([], [], linestyle="", markersize=7, **style)
    _legend(figure, handles)
    return figure


def _dot(dataset: int, correction: int, colour: str | None = None) -> dict[str, Any]:
    """A marker's style: shape and colour by dataset, filling by correction."""
    colour = colour or _COLOURS[dataset % len(_COLOURS)]
    face = (colour, "white", _GREY)[min(correction, 2)]
    return {"color": colour, "marker": _MARKERS[dataset % len(_MARKERS)], "markerfacecolor": face}


def histograms(analysis: Analysis, kind: Literal["image", "text"] = "image") -> Figure:
    """Similarities of paired and unpaired images ("text": images and class texts), a panel for each correction."""
    measured = {name: getattr(found, kind) for name, found in analysis.corrections.items()}
    figure, axes = _panels(len(measured), 3.6, 2.8, sharey=True)
    handles: dict[str, Any] = {}
    first, second = ("same class", "different classes") if kind == "image" else ("own text", "other texts")
    seen = np.flatnonzero(sum(np.asarray(part) for m in measured.values() for part in (m.paired, m.unpaired)))
    for axis, (correction, found) in zip(axes, measured.items()):
        paired, unpaired = np.asarray(found.paired), np.asarray(found.unpaired)
        edges = np.linspace(-1, 1, len(paired) + 1)
        handles[first] = axis.stairs(100 * paired, edges, color=_COLOURS[0], linewidth=1.4)
        handles[second] = axis.stairs(100 * unpaired, edges, color=_COLOURS[1], linewidth=1.4, linestyle="--")
        handles["shared area"] = axis.stairs(
            100 * np.minimum(paired, unpaired), edges, fill=True, color=_GREY, zorder=0
        )
        _title(figure, axis, f"correction {correction}: area {found.report.area:.3f}")
        if len(seen):
            axis.set_xlim(edges[seen[0]], edges[seen[-1] + 1])
        axis.xaxis.set_major_locator(MaxNLocator(6))
        axis.tick_params(labelsize=8)
    axes[0].set_ylim(bottom=0)  # of all; once all are drawn, since it fixes the top
    _label(figure, axes, "cosine similarity", "share of pairs (%)")
    _legend(figure, handles)
    return figure


def heat_maps(surfaces: Mapping[str, Surface]) -> Figure:
    """Validation accuracy over alpha and beta at the best gamma, a panel a surface; a cross marks the setting taken."""
    figure, axes = _panels(len(surfaces), 3.6, 3.0)
    for axis, (title, surface) in zip(axes, surfaces.items()):
        correct = surface["correct"]
        a, b, g = np.unravel_index(int(correct.argmax()), correct.shape)  # the first best, as the search takes it
        accuracy = 100 * correct[:, :, g].T / int(surface["n"])
        mesh = axis.pcolormesh(surface["alphas"], surface["betas"], accuracy, cmap="cividis", rasterized=True)
        taken = {"marker": "X", "color": "white", "markeredgecolor": "black", "markersize": 10, "clip_on": False}
        axis.plot(surface["alphas"][a], surface["betas"][b], **taken)
        figure.colorbar(mesh, ax=axis, label="validation accuracy (%)").ax.tick_params(labelsize=8)
        gamma = f", gamma {surface['gammas'][g]:.3g}" if correct.shape[2] > 1 else ""
        setting = f"alpha {surface['alphas'][a]:.3g}, beta {surface['betas'][b]:.3g}{gamma}"
        _title(figure, axis, title, f"{setting}: {accuracy[b, a]:.1f}\N{NO-BREAK SPACE}%")
        axis.tick_params(labelsize=8)
    _label(figure, axes, "alpha", "beta")
    return figure


def _panels(count: int, width: float, height: float, most: int = 3, sharey: bool = False) -> tuple[Figure, list[Any]]:
    """A figure with `count` axes of a size in inches, in rows of at most `most`, or of one less to leave fewer gaps."""
    columns = count if count <= most else min((most, most - 1), key=lambda columns: -count % columns)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(columns * width, 4.8), rows * height + 0.9), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey).flatten().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def _title(figure: Figure, axis: Any, *lines: str, bold: bool = False) -> None:
    """Above a panel, in as many lines as its width asks for."""
    width = figure.get_figwidth() / axis.get_gridspec().ncols
    text = "\n".join(_wrapped(line, 12 * width) for line in lines)
    axis.set_title(text, fontsize=8.5, fontweight="bold" if bold else None)


def _wrapped(text: str, characters: float) -> str:
    """A name that is no formula, whatever it holds, in lines of at most so many characters."""
    return textwrap.fill(text, max(int(characters), 10)).replace("$", r"\$")


def _label(figure: Figure, axes: Sequence[Any], x: str, y: str) -> None:
    """Names of the axes, once a column below its last panel, and once for all rows."""
    for axis in axes[-axes[0].get_gridspec().ncols :]:
        axis.set_xlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)


def _legend(figure: Figure, handles: Mapping[str, Any]) -> None:
    """Below the panels, where no data are; in as many columns as fit into the figure's width."""
    FigureCanvasAgg(figure)  # what measures texts
    labels = [_wrapped(label, 9 * figure.get_figwidth()) for label in handles]
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(list(handles.values()), labels, loc="outside lower center", ncols=columns, fontsize=9)
        if columns == 1 or legend.get_window_extent().width < 0.97 * figure.bbox.width:
            return
        legend.remove()
