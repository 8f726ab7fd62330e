"""What every picture of a report is made of: panels side by side, titles, labels, a legend, and its files."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from imo.errors import InputError
from imo.files import atomic_path

try:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Figure
    from matplotlib.lines import Line2D as Line2D
    from matplotlib.ticker import MaxNLocator as MaxNLocator
except ImportError as error:  # pragma: no cover
    raise InputError(f"pictures need the package {error.name}; pip install matplotlib") from error

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")  # Okabe & Ito
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
GREY = "0.8"


def style(place: int, **more: str) -> dict[str, str]:
    """Colour and marker of the series in a place."""
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)], **more}


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


def panels(count: int, width: float, height: float, most: int = 3, sharey: bool = False) -> tuple[Figure, list[Any]]:
    """A figure with `count` axes of a size in inches, in rows of at most `most`, or of one less to leave fewer gaps."""
    columns = count if count <= most else min((most, most - 1), key=lambda columns: -count % columns)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(columns * width, 4.8), rows * height + 0.9), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey).flatten().tolist()
    for unused in axes[count:]:
        unused.remove()
    for axis in axes[:count]:
        axis.tick_params(labelsize=8)
    return figure, axes[:count]


def title(figure: Figure, axis: Any, *lines: str, bold: bool = False) -> None:
    """Above a panel, in as many lines as its width asks for."""
    width = figure.get_figwidth() / axis.get_gridspec().ncols
    text = "\n".join(wrapped(line, 12 * width) for line in lines)
    axis.set_title(text, fontsize=8.5, fontweight="bold" if bold else None)


def wrapped(text: str, characters: float) -> str:
    """A name that is no formula, whatever it holds, in lines of at most so many characters."""
    return textwrap.fill(text, max(int(characters), 10)).replace("$", r"\$")


def label(figure: Figure, axes: Sequence[Any], x: str, y: str) -> None:
    """Names of the axes, once a column below its last panel, and once for all rows."""
    for axis in axes[-axes[0].get_gridspec().ncols :]:
        axis.set_xlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)


def legend(figure: Figure, handles: Mapping[str, Any]) -> None:
    """Below the panels, where no data are; in as many columns as fit into the figure's width."""
    FigureCanvasAgg(figure)  # what measures texts
    labels = [wrapped(label, 9 * figure.get_figwidth()) for label in handles]
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(list(handles.values()), labels, loc="outside lower center", ncols=columns, fontsize=9)
        if columns == 1 or legend.get_window_extent().width < 0.97 * figure.bbox.width:
            return
        legend.remove()
