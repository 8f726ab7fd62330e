"""What can be measured of pictures: texts are inside and apart, legends are whole, lines differ."""

import itertools

import msgspec
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image
from reporting import make_analysis, make_many, make_run

from imo.workbench.report import figures
from imo.workbench.report.analyses import Analysis
from imo.workbench.report.claims import Point, points
from imo.workbench.report.curves import curves
from imo.workbench.report.panels import save

GREY = (0.8, 0.8, 0.8)


def boxes(figure):
    """{text: its box in pixels} of everything that is written, after a drawing."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for axis in figure.axes:  # ticks beyond the limits exist, and are not drawn
        for side, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
            for tick in side.get_major_ticks():
                inside = min(limits) <= tick.get_loc() <= max(limits)
                for label in (tick.label1, tick.label2):
                    label.set_visible(label.get_visible() and inside)
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            found.append((text, text.get_window_extent(canvas.get_renderer())))
    return found


def assert_legible(figure):
    """Every text is inside the figure, at least 7 points high, and no two lie over each other."""
    found = boxes(figure)
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in found:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()
        assert text.get_fontsize() >= 7
    for (one, a), (other, b) in itertools.combinations(found, 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
        assert apart, (one.get_text(), other.get_text())
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def highlighted(axis):
    """Labels that a panel's lines could have: (colour, marker, line) of each curve that is not grey."""
    lines = [container.lines[0] for container in axis.containers]
    return [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines]


def grey(axis):
    return [line for line in axis.lines if to_rgb(line.get_color()) == GREY]


@pytest.mark.parametrize("datasets", [1, 11])
@pytest.mark.parametrize("methods", [2, 9, 13, 25])
def test_curves_can_be_told_apart_whatever_there_is(datasets, methods):
    drawn = list(itertools.islice(curves(make_many(datasets, methods)), 2))
    panels = datasets + (datasets > 1)
    assert [name for name, _ in drawn] == ["curves", "curves-ImageNet"][: 2 if methods > 8 and datasets > 1 else 1]
    for name, figure in drawn:
        names = set()
        assert_legible(figure)
        assert {"ZeroshotCLIP", "ZeroshotCLIP2"} <= set(legend(figure))
        for axis in figure.axes:
            lines = highlighted(axis)
            assert 1 <= len(lines) <= 8 and len(set(lines)) == len(lines)
            assert len({line[1] for line in lines}) == len(lines), "without colour"
            if methods > 8:
                assert len(lines) + len(grey(axis)) == methods
                names |= {text.strip() for text in axis.get_title().replace("\n", " ").split(",")}
        if methods <= 8:
            assert len(figure.axes) == panels and len(legend(figure)) == methods + 2
        else:
            assert len(names) == methods, "each is highlighted in one panel"
            assert sum(len(highlighted(axis)) for axis in figure.axes) == methods
            assert figure.get_suptitle() == ("average" if datasets > 1 and name == "curves" else "ImageNet")


def test_many_methods_get_a_picture_a_dataset():
    names = [name for name, _ in curves(make_many(3, 9, shots=(1,)))]
    assert names == ["curves", "curves-ImageNet", "curves-Caltech101", "curves-OxfordPets"]


def test_a_family_shares_a_panel_and_a_correction_its_style():
    ((_, figure),) = curves(make_many(1, 15, shots=(1, 4)))
    assert figure.axes[0].get_title() == "TipX, TipXPP, TipX (isoclip)"
    assert len({tuple(highlighted(axis)) for axis in figure.axes}) == 1
    assert legend(figure)[:4] == ["correction: none", "correction: adapter", "correction: isoclip", "other methods"]


def test_long_names_stay_inside():
    name = "A-method-of-a-very-long-name (vit_b16_ep50_ctxv1, /home/somebody/weights/of/a/model.safetensors) $x$ "
    for count in (1, 9):
        runs = [make_run(f"{name}{i}", k, 1, 50.0 + k, "A dataset " * 12) for i in range(count) for k in (1, 4)]
        ((_, figure),) = curves(runs)
        assert_legible(figure)


def test_many_numbers_of_shots_have_room():
    runs = [make_run("TipX", k, 1, 50.0 + k / 10, dataset) for k in (*range(1, 33), 200) for dataset in "ABC"]
    ((_, figure),) = curves(runs)
    assert_legible(figure)
    assert {"1", "2", "4", "200"} <= {label.get_text() for label in figure.axes[0].get_xticklabels()}


def test_a_marker_is_hollow_where_seeds_are_missing():
    runs = [make_run("TipX", k, seed, 50.0 + k) for k in (1, 4) for seed in (1, 2) if (k, seed) != (4, 2)]
    ((_, figure),) = curves(runs)
    (hollow,) = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert hollow.get_xdata().tolist() == [3.0] and hollow.get_ydata().tolist() == [54.0]


@pytest.mark.parametrize("datasets", [1, 11])
@pytest.mark.parametrize("methods", [2, 9, 13, 25])
def test_gain_against_overlap_has_width_and_a_mark_a_dataset(datasets, methods):
    found = points(make_many(datasets, methods))
    figure = figures.scatter(found)
    assert_legible(figure)
    (axis,) = figure.axes
    low, high = axis.get_xlim()
    assert high - low >= 0.1 and low < 0 < high
    assert 3 <= sum(low <= tick <= high for tick in axis.get_xticks()) <= 8
    assert all(low < point.less_area < high for point in found)
    marks = {(line.get_color(), line.get_marker()) for line in axis.lines if line.get_markersize() == 9}
    assert len(marks) == datasets
    corrections = [f"correction: {name}" for name in ("adapter", "isoclip")[: 1 + (methods > 10)]]
    assert legend(figure) == [*(list(dict.fromkeys(p.dataset for p in found)) if datasets > 1 else []), *corrections]


@pytest.mark.parametrize("less", [0.0, 0.0004, -0.002, 0.3])
def test_a_single_column_of_dots_keeps_a_sensible_width(less):
    figure = figures.scatter([Point("Digits", "TipXPP", k, "adapter", less, 0.0, k - 3.0) for k in (1, 2, 4)])
    assert_legible(figure)
    low, high = figure.axes[0].get_xlim()
    assert 0.0999 < high - low < 0.4


def analysis(corrections, peak=0.04):
    content = make_analysis("Birds", corrections)
    for i, correction in enumerate(corrections):
        part = content["corrections"][correction]["image"]
        shares = np.roll([0.0] * 60 + [(1 - peak) / 79] * 79 + [peak] + [0.0] * 60, 20 * i)
        content["corrections"][correction]["image"] = {**part, "paired": shares.tolist()}
        peak *= 2
    return msgspec.convert(content, Analysis)


@pytest.mark.parametrize("corrections", [("none",), ("none", "adapter"), ("none", "adapter", "isoclip"), tuple("abcd")])
def test_histograms_show_every_correction_whole_and_on_one_scale(corrections):
    found = analysis(corrections)
    figure = figures.histograms(found)
    assert_legible(figure)
    assert len(figure.axes) == len(corrections)
    top = 100 * max(max(part.image.paired) for part in found.corrections.values())
    assert {axis.get_ylim()[0] for axis in figure.axes} == {0.0}
    assert all(axis.get_ylim()[1] >= top for axis in figure.axes)
    assert len({axis.get_xlim() for axis in figure.axes}) == 1
    assert legend(figure) == ["same class", "different classes", "shared area"]
    assert legend(figures.histograms(found, "text"))[:2] == ["own text", "other texts"]


@pytest.mark.parametrize("count", [1, 8])
def test_heat_maps_mark_the_first_best(count):
    names = [name for name in ("TipAdapter (isoclip)", "TipX", "APEPP") for _ in range(3)]
    correct = np.zeros((40, 20, 50), dtype=np.int32)
    correct[10, 4, 10] = correct[12, 4, 10] = 70
    axes = {"alphas": np.linspace(0, 20, 40), "betas": np.linspace(0, 20, 20), "gammas": np.linspace(0, 20, 50)}
    surfaces = {f"{names[i]}, 16 shots, seed {i}": {**axes, "correct": correct, "n": 80} for i in range(count)}
    figure = figures.heat_maps(surfaces)
    assert_legible(figure)
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert len(panels) == count
    for axis in panels:
        assert axis.get_title().splitlines()[-1] == "alpha 5.13, beta 4.21, gamma 4.08: 87.5\N{NO-BREAK SPACE}%"
        assert axis.lines[0].get_xdata() == [axes["alphas"][10]]


def test_a_saved_picture_is_small_and_the_same_each_time(tmp_path):
    def content(folder):
        ((_, figure),) = curves([make_run("TipX", k, 1, 50.0 + k) for k in (1, 4)])
        return [path.read_bytes() for path in save(figure, tmp_path / folder / "a.b")]

    first = content("one")
    assert first == content("two") and len(first[0]) < 40_000
    assert Image.open(tmp_path / "one" / "a.b.png").size == (720, 555)
