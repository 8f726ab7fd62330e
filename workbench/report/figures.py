"""Pictures of overlap and of the search. Readable without colour: series differ in marker, maps in lightness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imo.workbench.report.analyses import Analysis
from imo.workbench.report.claims import Point
from imo.workbench.report.panels import COLOURS, GREY, Figure, Line2D, MaxNLocator, label, legend, panels, style, title

Surface = Mapping[str, NDArray[Any]]  # arrays of surface.npz, see Sources.surface


def scatter(points: Sequence[Point]) -> Figure:
    """Gain against less overlap: a small dot a method and number of shots; a large one their mean, with their ranges.

    Shape and colour are the dataset, the filling is the correction: colour for the first, white, and grey.
    """
    figure, (axis,) = panels(1, 6.4, 4.2)
    datasets = list(dict.fromkeys(point.dataset for point in points))
    corrections = sorted(dict.fromkeys(point.correction for point in points), key=lambda name: name != "adapter")
    places = {(d, c): _dot(i, j) for i, d in enumerate(datasets) for j, c in enumerate(corrections)}
    for place, dot in places.items():
        chosen = [(point.less_area, point.gain) for point in points if (point.dataset, point.correction) == place]
        if not chosen:
            continue
        less, gains = zip(*chosen)
        axis.plot(less, gains, linestyle="", markersize=3, alpha=0.5, **dot)
        centre, mean = float(np.mean(less)), float(np.mean(gains))
        axis.vlines(centre, min(gains), max(gains), color=dot["color"], linewidth=0.8, alpha=0.6)
        axis.hlines(mean, min(less), max(less), color=dot["color"], linewidth=0.8, alpha=0.6)
        axis.plot(centre, mean, linestyle="", markersize=9, zorder=3, **dot)
    for line in (axis.axhline, axis.axvline):
        line(0, color="black", linewidth=0.8, zorder=1)
    low, high = min(0.0, *(p.less_area for p in points)), max(0.0, *(p.less_area for p in points))
    margin = max(0.1 * (high - low), (0.1 - (high - low)) / 2)  # changes of area below 0.1 are small, and look it
    axis.set_xlim(low - margin, high + margin)
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.grid(alpha=0.3)
    axis.set_xlabel("overlap area before − after correction (tuning images)", fontsize=9)
    axis.set_ylabel("gain of accuracy (points, test images)", fontsize=9)
    dots, black = {dataset: _dot(i, 0) for i, dataset in enumerate(datasets)}, {"color": "black"}
    if len(datasets) == 1:
        title(figure, axis, datasets[0])
        dots, black = {}, {}
    dots |= {f"correction: {correction}": _dot(0, i, **black) for i, correction in enumerate(corrections)}
    legend(figure, {name: Line2D([], [], linestyle="", markersize=7, **dot) for name, dot in dots.items()})
    return figure


def _dot(dataset: int, correction: int, **instead: str) -> dict[str, Any]:
    """A marker's style: shape and colour by dataset, filling by correction."""
    shape = style(dataset, **instead)
    return {**shape, "markerfacecolor": (shape["color"], "white", GREY)[min(correction, 2)]}


def histograms(analysis: Analysis, kind: Literal["image", "text"] = "image") -> Figure:
    """Similarities of paired and unpaired images ("text": images and class texts), a panel for each correction."""
    measured = {name: getattr(found, kind) for name, found in analysis.corrections.items()}
    figure, axes = panels(len(measured), 3.6, 2.8, sharey=True)
    handles: dict[str, Any] = {}
    first, second = ("same class", "different classes") if kind == "image" else ("own text", "other texts")
    seen = np.flatnonzero(sum(np.asarray(part) for m in measured.values() for part in (m.paired, m.unpaired)))
    for axis, (correction, found) in zip(axes, measured.items()):
        paired, unpaired = np.asarray(found.paired), np.asarray(found.unpaired)
        edges = np.linspace(-1, 1, len(paired) + 1)
        handles[first] = axis.stairs(100 * paired, edges, color=COLOURS[0], linewidth=1.4)
        handles[second] = axis.stairs(100 * unpaired, edges, color=COLOURS[1], linewidth=1.4, linestyle="--")
        handles["shared area"] = axis.stairs(100 * np.minimum(paired, unpaired), edges, fill=True, color=GREY, zorder=0)
        title(figure, axis, f"correction {correction}: area {found.report.area:.3f}")
        if len(seen):
            axis.set_xlim(edges[seen[0]], edges[seen[-1] + 1])
        axis.xaxis.set_major_locator(MaxNLocator(6))
    axes[0].set_ylim(bottom=0)  # of all; once all are drawn, since it fixes the top
    label(figure, axes, "cosine similarity", "share of pairs (%)")
    legend(figure, handles)
    return figure


def heat_maps(surfaces: Mapping[str, Surface]) -> Figure:
    """Validation accuracy over alpha and beta at the best gamma, a panel a surface; a cross marks the setting taken."""
    figure, axes = panels(len(surfaces), 3.6, 3.0)
    for axis, (name, surface) in zip(axes, surfaces.items()):
        correct = surface["correct"]
        a, b, g = np.unravel_index(int(correct.argmax()), correct.shape)  # the first best, as the search takes it
        accuracy = 100 * correct[:, :, g].T / int(surface["n"])
        mesh = axis.pcolormesh(surface["alphas"], surface["betas"], accuracy, cmap="cividis", rasterized=True)
        taken = {"marker": "X", "color": "white", "markeredgecolor": "black", "markersize": 10, "clip_on": False}
        axis.plot(surface["alphas"][a], surface["betas"][b], **taken)
        figure.colorbar(mesh, ax=axis, label="validation accuracy (%)").ax.tick_params(labelsize=8)
        gamma = f", gamma {surface['gammas'][g]:.3g}" if correct.shape[2] > 1 else ""
        setting = f"alpha {surface['alphas'][a]:.3g}, beta {surface['betas'][b]:.3g}{gamma}"
        title(figure, axis, name, f"{setting}: {accuracy[b, a]:.1f}\N{NO-BREAK SPACE}%")
    label(figure, axes, "alpha", "beta")
    return figure
