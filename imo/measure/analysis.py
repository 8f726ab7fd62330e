"""Overlap in detail: histograms, classes, and the classes that are taken for each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from imo.checks import check_labels, check_matrix
from imo.measure.overlap import ClassSums, SimilarityReport, checked, counted, image_report, shared
from imo.measure.similarity import QUANTILE, Counts, Similarities, error

_MOST_CONFUSED = 10


@dataclass(frozen=True)
class Analysis:
    """A report and what it is made of.

    Attributes:
        report: of the whole set.
        influence: (N,) of each image on the separation, see `Similarities.influence`.
        paired, unpaired: (200,) shares of the similarities in equal bins of [-1, 1].
        classes: (label, images, area, separation) over the pairs whose first image is of the class, where it has
            paired ones.
        confused: (label, other, share), the ten worst: the share of a class's images that are more similar to the other
            class (to its images on average, or to its text) than to their own (themselves left out).
    """

    report: SimilarityReport
    influence: torch.Tensor
    paired: list[float]
    unpaired: list[float]
    classes: list[tuple[int, int, float, float]]
    confused: list[tuple[int, int, float]]


def analyse_images(features: torch.Tensor, labels: torch.Tensor) -> Analysis:
    """Images among themselves, over all pairs; arguments and errors of `imo.overlap`."""
    features, labels = checked(features, labels)
    similarities = Similarities(features, labels, features, labels)
    counts = counted(similarities)
    classes = ClassSums.of(features, labels)

    def to_class(place: int, rows: torch.Tensor) -> torch.Tensor:
        chosen = features[rows].double()
        found = chosen @ classes.means.T
        own = (chosen * (classes.sums[place] - chosen)).sum(1)
        found[:, place] = own / (classes.sizes[place] - 1)  # of a single image nothing is left: NaN, above nothing
        return found

    influence = similarities.influence(counts)
    report = image_report(similarities, counts, influence)
    return _analysis(similarities, counts, report, influence, classes.labels, to_class)


def analyse_texts(features: torch.Tensor, labels: torch.Tensor, classifier: torch.Tensor) -> Analysis:
    """Images and class texts: paired is an image with the text of its class, unpaired with that of another.

    Args:
        features: (N, d) floating; normalised here.
        labels: (N,) int64 in 0..C-1.
        classifier: (C, d) floating class texts; normalised here.

    Raises:
        InputError: wrong shapes, dtypes or label range, NaN, or a single class.
    """
    features, labels = checked(features, labels)
    check_matrix("classifier", classifier, features.shape[1])
    check_labels("labels", labels, len(features), len(classifier))
    texts = F.normalize(classifier.to(features), dim=-1)
    classes = torch.arange(len(texts), device=texts.device)
    similarities = Similarities(features, labels, texts, classes)
    counts = counted(similarities)
    paired = (features * texts[labels]).sum(1).double().sum()
    everything = features.double().sum(0) @ texts.double().sum(0)
    influence = similarities.influence(counts)
    report = SimilarityReport(
        **shared(counts, influence),
        paired=float(paired / len(features)),
        unpaired=float((everything - paired) / (len(features) * (len(texts) - 1))),
    )
    return _analysis(similarities, counts, report, influence, classes, lambda place, rows: features[rows] @ texts.T)


def change(before: Analysis, after: Analysis) -> tuple[float, float, float]:
    """What a correction adds to the separation of the same images, and the ends of its 95 % interval.

    The images are the same on both sides, so their influences are subtracted one by one: the interval is narrower than
    the two analyses' own would make it.
    """
    added = after.report.separation - before.report.separation
    reach = QUANTILE * error(after.influence - before.influence)
    return added, added - reach, added + reach


def _analysis(
    similarities: Similarities,
    counts: Counts,
    report: SimilarityReport,
    influence: torch.Tensor,
    labels: torch.Tensor,
    to_class: Callable[[int, torch.Tensor], torch.Tensor],
) -> Analysis:
    """`to_class(place, rows)`: similarities (n, C) of rows, whose class is labels[place], to each of the `labels`."""
    classes, confused = [], []
    for place, label in enumerate(labels.tolist()):
        rows = (similarities.row_labels == label).nonzero().flatten()
        if not len(rows):
            continue
        part = similarities.count(rows)
        if part.paired.sum():
            classes.append((label, len(rows), part.area(), part.separation()))
        found = to_class(place, rows)
        shares = (found > found[:, place, None]).double().mean(0)
        worst = shares.topk(min(_MOST_CONFUSED, len(shares)))
        confused += [
            (label, int(labels[other]), share)
            for share, other in zip(worst.values.tolist(), worst.indices.tolist())
            if share > 0
        ]
    confused.sort(key=lambda pair: -pair[2])
    paired, unpaired = (counts.histogram(part).tolist() for part in (counts.paired, counts.unpaired))
    return Analysis(report, influence, paired, unpaired, classes, confused[:_MOST_CONFUSED])
