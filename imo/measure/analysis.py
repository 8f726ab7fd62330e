"""Overlap in detail: histograms of similarities, overlap by class, and pairs of classes that are confused."""

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
    """Statistics of a labelled set.

    Attributes:
        report: of all similarities.
        influence: (N,) influence of each image on the separation, see `Similarities.influence`.
        paired, unpaired: histograms: shares of the paired and unpaired similarities in 200 equal bins of [-1, 1].
        classes: for each class (label, number of images, area, separation), from the pairs whose first image is of the
            class. A class whose images form no paired similarity is left out.
        confused: (label, other label, share) of the ten pairs with the highest shares. The share is that of the class's
            images which are more similar to the other class than to their own class. An image's similarity to a class
            is the one to its text, or the mean over its images without the image itself.
    """

    report: SimilarityReport
    influence: torch.Tensor
    paired: list[float]
    unpaired: list[float]
    classes: list[tuple[int, int, float, float]]
    confused: list[tuple[int, int, float]]


def analyse_images(features: torch.Tensor, labels: torch.Tensor) -> Analysis:
    """Analyse the similarities of all pairs of images. Arguments and errors are those of `imo.overlap`."""
    features, labels = checked(features, labels)
    similarities = Similarities(features, labels, features, labels)
    counts = counted(similarities)
    classes = ClassSums.of(features, labels)

    def to_class(place: int, rows: torch.Tensor) -> torch.Tensor:
        chosen = features[rows].double()
        found = chosen @ classes.means.T
        own = (chosen * (classes.sums[place] - chosen)).sum(1)
        found[:, place] = own / (classes.sizes[place] - 1)  # NaN for a class of one image; counts as not confused
        return found

    influence = similarities.influence(counts)
    report = image_report(similarities, counts, influence)
    return _analysis(similarities, counts, report, influence, classes.labels, to_class)


def analyse_texts(features: torch.Tensor, labels: torch.Tensor, classifier: torch.Tensor) -> Analysis:
    """Analyse the similarities of images to class texts: paired ones to the text of the image's class, unpaired ones to
    the texts of other classes.

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
    """By how much a correction raises the separation, and the ends of that number's 95 % interval.

    Both analyses must be of the same images in the same order. Their influences are subtracted image by image, which
    gives a narrower interval than two independent sets of images would.
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
    """Add statistics by class to a report.

    Args:
        labels: (C,) labels of the classes.
        to_class: called with a number i of a class and the numbers (n,) of its images; gives the images' similarities
            (n, C) to all classes.
    """
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
