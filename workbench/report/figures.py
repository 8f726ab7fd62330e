"""Pictures of a report. Readable without colour: series differ in marker and line style, maps in lightness."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imo.errors import InputError
from imo.files import atomic_path
from imo.workbench.report.accuracy import seeds_of, with_average
from imo.workbench.report.claims import Point
from imo.workbench.report.tables import Run, comparison, method_name, variants

try:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:  # pragma: no cover
    raise InputError(f"pictures need the package {error.name}; pip install matplotlib") from error

Surface = Mapping[str, NDArray[Any]]  # arrays of surface.npz, see Sources.surface
_SHOTS = (0, 1, 2, 4, 8, 16)  # ticks of the field's curves
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")  # Okabe & Ito
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
_STARS = ("*", "x", "+", "1")  # methods without shots
_LINES = ("-", "--", "-.", ":")
_COLUMNS = 3  # panels side by side


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write <stem>.png (of 128 colours, which keeps it small) and <stem>.svg, the same bytes for the same picture."""
    FigureCanvasAgg(figure)
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", dpi=150)
    paths = [stem.with_suffix(f"{stem.suffix}.{kind}") for kind in ("png", "svg")]
    with atomic_path(paths[0]) as temporary:
        Image.open(pixels).convert("RGB").quantize(128).save(temporary, format="png", optimize=True)
    with atomic_path(paths[1]) as temporary, matplotlib.rc_context({"svg.hashsalt": stem.name}):
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    return paths


def _panels(count: int, width: float = 3.6, height: float = 3.0) -> tuple[Figure, list[Any]]:
    """A figure with `count` axes in rows of three."""
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(columns * width, 4.8), rows * height + 0.7), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def curves(runs: Sequence[Run]) -> Figure:
    """Accuracy against shots for each dataset and their average; methods without shots are stars at 0.

    Bars are sample standard deviations over seeds; a hollow marker lacks seeds.
    """
    runs = [run for run in runs if run["shots"] >= 0]
    table = comparison(with_average(runs)).rows
    expected = len(seeds_of(runs))
    datasets = sorted(dict.fromkeys(dataset for dataset, _ in table), key=lambda name: name != "average")
    styles = _styles(runs)
    without = list(dict.fromkeys(method for (_, method), row in table.items() if set(row) == {0}))
    figure, axes = _panels(len(datasets))
    handles: dict[str, Any] = {}
    for axis, dataset in zip(axes, datasets):
        for (name, method), row in table.items():
            if name != dataset:
                continue
            shots = sorted(row)
            means = [row[k].mean for k in shots]
            if shots == [0]:
                marker = _STARS[without.index(method) % len(_STARS)]
                (handles[method],) = axis.plot(0, means, linestyle="", marker=marker, markersize=10, color="black")
                continue
            style = styles[method]
            spread = [row[k].std or 0.0 for k in shots]
            handles[method] = axis.errorbar(shots, means, spread, capsize=2, elinewidth=0.8, markersize=5, **style)
            fewer = [k for k in shots if len(row[k].values) < expected]
            hollow = {**style, "linestyle": "", "markerfacecolor": "white", "zorder": 3}
            axis.plot(fewer, [row[k].mean for k in fewer], markersize=5, **hollow)
        axis.set_title(_plain(dataset), fontsize=10, fontweight="bold" if dataset == "average" else None)
        axis.set_xticks(sorted({*_SHOTS, *(k for (name, _), row in table.items() if name == dataset for k in row)}))
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        axis.set_xlabel("labelled images a class", fontsize=9)
    figure.supylabel("accuracy (%)", fontsize=10)
    _legend(figure, handles)
    return figure


def _styles(runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """Colour and marker of each method, and a line for its correction: dashed for none."""
    variant = variants(runs)
    methods = {method_name(run) + variant(run): run["correction"] for run in runs if run["shots"] != 0}
    corrections = list(dict.fromkeys(["adapter", "none", *methods.values()]))
    return {
        method: {
            "color": _COLOURS[i % len(_COLOURS)],
            "marker": _MARKERS[i % len(_MARKERS)],
            "linestyle": _LINES[corrections.index(correction) % len(_LINES)],
        }
        for i, (method, correction) in enumerate(methods.items())
    }


def _plain(text: str) -> str:
    """A name that is no formula, whatever it holds."""
    return text.replace("$", r"\$")


def _legend(figure: Figure, handles: Mapping[str, Any], columns: int = 5) -> None:
    """Below the panels, where no data are."""
    lines, labels = list(handles.values()), [_plain(label) for label in handles]
    figure.legend(lines, labels, loc="outside lower center", ncols=min(len(handles), columns), fontsize=9)


def scatter(points: Sequence[Point]) -> Figure:
    """Gain against less overlap: a point a method and number of shots, a marker a dataset."""
    figure, (axis,) = _panels(1, width=5.6, height=4.0)
    handles: dict[str, Any] = {}
    for i, dataset in enumerate(dict.fromkeys(point.dataset for point in points)):
        chosen = [point for point in points if point.dataset == dataset]
        (handles[dataset],) = axis.plot(
            [point.less_area for point in chosen],
            [point.gain for point in chosen],
            linestyle="",
            color=_COLOURS[i % len(_COLOURS)],
            marker=_MARKERS[i % len(_MARKERS)],
            alpha=0.7,
        )
    for line in (axis.axhline, axis.axvline):
        line(0, color="black", linewidth=0.8)
    axis.grid(alpha=0.3)
    axis.tick_params(labelsize=8)
    axis.set_xlabel("overlap area before − after correction (validation)", fontsize=9)
    axis.set_ylabel("gain of accuracy (points, test)", fontsize=9)
    _legend(figure, handles, 4)
    return figure


def histograms(analysis: Mapping[str, Any], kind: str = "image") -> Figure:
    """Similarities of paired and unpaired images ("text": images and class texts), a panel for each correction."""
    corrections = analysis["corrections"]
    figure, axes = _panels(len(corrections))
    handles: dict[str, Any] = {}
    for axis, (correction, kinds) in zip(axes, corrections.items()):
        found = kinds[kind]
        paired, unpaired = np.asarray(found["paired"]), np.asarray(found["unpaired"])
        edges = np.linspace(-1, 1, len(paired) + 1)
        first, second = ("same class", "different classes") if kind == "image" else ("own text", "other texts")
        handles[first] = axis.stairs(100 * paired, edges, color=_COLOURS[0], linewidth=1.4)
        handles[second] = axis.stairs(100 * unpaired, edges, color=_COLOURS[1], linewidth=1.4, linestyle="--")
        handles["shared area"] = axis.stairs(
            100 * np.minimum(paired, unpaired), edges, fill=True, color="0.8", zorder=0
        )
        axis.set_title(f"correction {_plain(correction)}: area {found['report']['area']:.3f}", fontsize=10)
        seen = np.flatnonzero(
            sum(np.asarray(k[kind][part]) for k in corrections.values() for part in ("paired", "unpaired"))
        )
        axis.set_xlim(edges[seen[0]], edges[seen[-1] + 1])
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=8)
        axis.set_xlabel("cosine similarity", fontsize=9)
        axis.set_ylabel("share of pairs (%)", fontsize=9)
    top = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(0, top)
    _legend(figure, handles)
    return figure


def heat_maps(surfaces: Mapping[str, Surface]) -> Figure:
    """Validation accuracy over alpha and beta at the best gamma, a panel a surface; a cross marks the setting taken."""
    figure, axes = _panels(len(surfaces), width=4.2, height=3.4)
    for axis, (title, surface) in zip(axes, surfaces.items()):
        correct = surface["correct"]
        a, b, g = np.unravel_index(int(correct.argmax()), correct.shape)  # the first best, as the search takes it
        accuracy = 100 * correct[:, :, g].T / int(surface["n"])
        mesh = axis.pcolormesh(surface["alphas"], surface["betas"], accuracy, cmap="cividis", rasterized=True)
        axis.plot(
            surface["alphas"][a],
            surface["betas"][b],
            marker="X",
            color="white",
            markeredgecolor="black",
            markersize=10,
            clip_on=False,
        )
        figure.colorbar(mesh, ax=axis, label="validation accuracy (%)")
        gamma = f", gamma {surface['gammas'][g]:.3g}" if correct.shape[2] > 1 else ""
        setting = f"alpha {surface['alphas'][a]:.3g}, beta {surface['betas'][b]:.3g}{gamma}"
        axis.set_title(f"{_plain(title)}\n{setting}: {accuracy[b, a]:.1f} %", fontsize=9)
        axis.set_xlabel("alpha", fontsize=9)
        axis.set_ylabel("beta", fontsize=9)
        axis.tick_params(labelsize=8)
    return figure
