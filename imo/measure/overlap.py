"""Intra-modal overlap: how much the similarities of images of the same class and of different classes overlap.

That this overlap costs accuracy is the hypothesis of Kravets & Namboodiri (BMVC 2024, https://arxiv.org/abs/2409.11338).
Herzog & Wang (https://arxiv.org/abs/2603.16100) contest it: models trained on images alone show a similar overlap. So
that a measurement can also speak against the hypothesis, reports have confidence intervals, and
`imo.measure.analysis` measures by class, and between images and class texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from imo.checks import check_labels, check_matrix, check_number
from imo.errors import InputError
from imo.measure.similarity import Counts, Similarities, interval, total


@dataclass(frozen=True)
class SimilarityReport:
    """Statistics of the cosine similarities of paired (same class) and unpaired (different classes) items.

    Attributes:
        area: area that the normalised histograms of both, over 200 bins of [-1, 1], have in common: 0 where they lie
            apart, 1 where they are the same.
        separation: probability that a random paired similarity is higher than a random unpaired one; a tie counts half.
        interval: 95 % confidence interval of `separation`, see `imo.measure.similarity.interval`.
        resolution: bound on the numerical error of `separation`; 0 up to a million similarities.
        paired, unpaired: mean similarities.
        images: number of images.
    """

    area: float
    separation: float
    interval: tuple[float, float]
    resolution: float
    paired: float
    unpaired: float
    images: int


@dataclass(frozen=True)
class OverlapReport(SimilarityReport):
    """Statistics of the similarities of images to each other.

    Attributes:
        within_variance: mean squared distance of the images to their class's mean.
        between_variance: mean squared distance of the class means, weighted by class size, to the mean of all images.
    """

    within_variance: float
    between_variance: float


@torch.no_grad()
def overlap(features: torch.Tensor, labels: torch.Tensor, seed: int = 0, most: int | None = 4000) -> OverlapReport:
    """Measure the intra-modal overlap of a labelled set, over all pairs of different images.

    Args:
        features: (N, d) floating; normalised here.
        labels: (N,) int64.
        seed: seed of the random sample.
        most: largest number of images, 3 or more; of a larger set a random sample of this size is measured, which makes
            `interval` wider. None to measure all: memory does not grow with N, time does with N^2 (minutes for 50,000).

    Raises:
        InputError: wrong shapes or dtypes, NaN, or labels that give no paired or no unpaired similarities.
    """
    features, labels = checked(features, labels)
    check_number("seed", seed, whole=True)
    if most is not None:
        check_number("most", most, least=3, whole=True)
    if most is not None and len(features) > most:
        chosen = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))[:most]
        features, labels = features[chosen.to(features.device)], labels[chosen.to(features.device)]
    similarities = Similarities(features, labels, features, labels)
    counts = counted(similarities)
    return image_report(similarities, counts, similarities.influence(counts))


def checked(features: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Check features (N, d) and labels (N,); returns the features normalised, as float32, and the labels on the same
    device.

    Raises:
        InputError: wrong shapes or dtypes, or NaN.
    """
    check_matrix("features", features)
    most = int(labels.max()) + 1 if torch.is_tensor(labels) and labels.dtype == torch.int64 and labels.numel() else 1
    check_labels("labels", labels, len(features), most)
    return F.normalize(features.float(), dim=-1), labels.to(features.device)


def counted(similarities: Similarities) -> Counts:
    """Count all similarities.

    Raises:
        InputError: there are no paired or no unpaired ones.
    """
    counts = similarities.count()
    paired, unpaired = (int(part.sum()) for part in (counts.paired, counts.unpaired))
    if not paired or not unpaired:
        raise InputError(f"labels: expected paired and unpaired similarities, got {paired} and {unpaired}")
    return counts


@dataclass(frozen=True)
class ClassSums:
    """Sums of features by class.

    Attributes:
        labels: (C,) labels of the classes that have images, ascending.
        index: (N,) position of each image's label in `labels`.
        sizes: (C,) number of images.
        sums: (C, d) float64 sum of features.
    """

    labels: torch.Tensor
    index: torch.Tensor
    sizes: torch.Tensor
    sums: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor, labels: torch.Tensor) -> ClassSums:
        """Sums of features (N, d) by labels (N,)."""
        labels, index = torch.unique(labels, return_inverse=True)
        sums = torch.zeros(len(labels), features.shape[1], dtype=torch.float64, device=features.device)
        return cls(labels, index, torch.bincount(index), sums.index_add_(0, index, features.double()))

    @property
    def means(self) -> torch.Tensor:
        """Mean features (C, d) of the classes, float64."""
        return self.sums / self.sizes[:, None]


def shared(counts: Counts, influence: torch.Tensor) -> dict[str, Any]:
    """The fields of a `SimilarityReport` that follow from counts and influences."""
    return {
        "area": counts.area(),
        "separation": counts.separation(),
        "interval": interval(counts.separation(), influence),
        "resolution": counts.resolution(),
        "images": len(influence),
    }


def image_report(similarities: Similarities, counts: Counts, influence: torch.Tensor) -> OverlapReport:
    """The report of all pairs of images."""
    features = similarities.rows
    classes = ClassSums.of(features, similarities.row_labels)
    # The sum over pairs follows from the sum over images: sum_ij f_i f_j = |sum_i f_i|^2, which includes i = j.
    squares = total(features.double().square().sum(1))
    paired, everything = total(classes.sums.square()) - squares, classes.sums.sum(0).square().sum() - squares
    paired_pairs = int((classes.sizes * (classes.sizes - 1)).sum())
    unpaired_pairs = len(features) * (len(features) - 1) - paired_pairs
    from_mean = (features - classes.means.to(features.dtype)[classes.index]).square().sum(1).double()
    from_centre = (classes.means - classes.sums.sum(0) / len(features)).square().sum(1)
    return OverlapReport(
        **shared(counts, influence),
        paired=float(paired / paired_pairs),
        unpaired=float((everything - paired) / unpaired_pairs),
        within_variance=float(total(from_mean) / len(features)),
        between_variance=float((from_centre * classes.sizes).sum() / len(features)),
    )
