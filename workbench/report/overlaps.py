"""Tables of overlap.json: images with images and with class texts, and the classes taken for each other."""

from __future__ import annotations

from collections.abc import Mapping

from imo.workbench.report.analyses import Analysis
from imo.workbench.report.formats import Entry, Table, number

_CONFUSED = 5  # listed of each
_WHAT = ("dataset", "pairs", "correction")


def analysis_tables(analyses: Mapping[str, Analysis]) -> list[Table]:
    """Measures with intervals, and the most confused classes, of each dataset and correction; none without analyses."""
    lines, confused = [], []
    for dataset, content in analyses.items():
        first = next(iter(content.corrections))
        for correction, found in content.corrections.items():
            for kind, measured in (("image", found.image), ("text", found.text)):
                report = measured.report
                change = "" if correction == first else measured.exceedance_change()
                what = [Entry(text) for text in (dataset, f"image-{kind}", correction)]
                area, *means = (number(value, ".3f") for value in (report.area, report.paired, report.unpaired))
                chance = Entry(measured.exceedance(), 1 - report.separation)
                changed = Entry(change, -measured.added_separation[0])
                images = Entry(f"{report.images} ({content.split})", report.images)
                lines.append((*what, area, chance, changed, *means, images))
                worst = [f"{pair.name} → {pair.other} {pair.share:.0%}" for pair in measured.confused[:_CONFUSED]]
                confused.append((*what, Entry("; ".join(worst) or "none")))
    measures = Table(
        "overlap",
        "Overlap of images with images, and of images with class texts",
        (*_WHAT, "area", "P(unpaired > paired)", "its change", "paired mean", "unpaired mean", "images"),
        tuple(lines),
        "Area shared by the two normalised histograms over 200 bins of [-1, 1]. P: probability that a random unpaired "
        "pair is more similar than a random paired one, with a 95 % interval over other draws of the images; "
        "its change from the first correction is measured on the same images, and so has a narrower interval.",
    )
    pairs = Table(
        "confused",
        "Classes taken for each other",
        (*_WHAT, "most confused"),
        tuple(confused),
        "Class → other: share of the class's images that are more similar to the other class than to their own: to its "
        "images on average (themselves left out), or to its text.",
    )
    return [measures, pairs] if lines else []
