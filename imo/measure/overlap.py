"""Intra-modal overlap: how far the similarities of same-class and different-class images share their range; and the
same between images and class texts.

The hypothesis (Kravets & Namboodiri, BMVC 2024, https://arxiv.org/abs/2409.11338) has been contested (Herzog & Wang,
https://arxiv.org/abs/2603.16100: models trained on images alone show the like). Hence measures that can speak against
it: with an interval, for image-text pairs too, and by class (`imo.measure.analysis`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from imo.checks import check_labels, check_matrix
from imo.errors import InputError
from imo.measure.similarity import Counts, Similarities, interval


@dataclass(frozen=True)
class SimilarityReport:
    """Statistics of the cosine similarities of paired (same class) and unpaired (different classes) items.

    Attributes:
        area: shared area of the two normalised histograms over 200 bins of [-1, 1]; 0 apart, 1 the same.
        separation: probability that a random paired similarity exceeds a random unpaired one, ties counting half.
        interval: 95 % interval of `separation` over other draws of the images (see `imo.measure.similarity`).
        resolution: bound on the numerical error of `separation`; 0 up to a million similarities.
        paired, unpaired: means.
        images: how many images the pairs were taken from.
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
    """Of images among themselves.

    Attributes:
        within_variance: mean squared distance to the class mean.
        between_variance: mean squared distance of the class means to the mean, weighted by class size.
    """

    within_variance: float
    between_variance: float


def overlap(features: torch.Tensor, labels: torch.Tensor, seed: int = 0, most: int | None = 4000) -> OverlapReport:
    """Measure the intra-modal overlap of a labelled set, over all pairs of different images.

    Args:
        features: (N, d) floating; normalised here.
        labels: (N,) int64.
        seed: of the sample.
        most: images; of a larger set as many are drawn by `seed`, and `interval` is as wide as that makes it. None for
            all: memory stays flat and time grows with N^2 (minutes for 50,000).

    Raises:
        InputError: wrong shapes or dtypes, NaN, or labels that form no paired or no unpaired images.
    """
    features, labels = checked(features, labels)
    if most is not None and len(features) > most:
        chosen = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))[:most]
        features, labels = features[chosen.to(features.device)], labels[chosen.to(features.device)]
    similarities = Similarities(features, labels, features, labels)
    counts = counted(similarities)
    return image_report(similarities, counts, similarities.influence(counts))


def checked(features: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised float32 features and their labels on one device, or an InputError."""
    check_matrix("features", features)
    most = int(labels.max()) + 1 if torch.is_tensor(labels) and labels.dtype == torch.int64 and labels.numel() else 1
    check_labels("labels", labels, len(features), most)
    return F.normalize(features.float(), dim=-1), labels.to(features.device)


def counted(similarities: Similarities) -> Counts:
    """Counts of similarities among which there are both kinds, or an InputError."""
    counts = similarities.count()
    paired, unpaired = (int(part.sum()) for part in (counts.paired, counts.unpaired))
    if not paired or not unpaired:
        raise InputError(f"labels: expected paired and unpaired similarities, got {paired} and {unpaired}")
    return counts


@dataclass(frozen=True)
class ClassSums:
    """Sums of features by class.

    Attributes:
        labels: (C,) those there are.
        index: (N,) place of each image's label among them.
        sizes: (C,) images.
        sums: (C, d) float64.
    """

    labels: torch.Tensor
    index: torch.Tensor
    sizes: torch.Tensor
    sums: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor, labels: torch.Tensor) -> ClassSums:
        labels, index = torch.unique(labels, return_inverse=True)
        sums = torch.zeros(len(labels), features.shape[1], dtype=torch.float64, device=features.device)
        return cls(labels, index, torch.bincount(index), sums.index_add_(0, index, features.double()))

    @property
    def means(self) -> torch.Tensor:
        """(C, d) float64."""
        return self.sums / self.sizes[:, None]


def shared(counts: Counts, influence: torch.Tensor) -> dict[str, Any]:
    """The part of a report that follows from counts and the images' influence."""
    return {
        "area": counts.area(),
        "separation": counts.separation(),
        "interval": interval(counts.separation(), influence),
        "resolution": counts.resolution(),
        "images": len(influence),
    }


def image_report(similarities: Similarities, counts: Counts, influence: torch.Tensor) -> OverlapReport:
    """The report of images among themselves."""
    features = similarities.rows
    classes = ClassSums.of(features, similarities.row_labels)
    # Sums over pairs from sums over images: sum_ij f_i f_j = |sum_i f_i|^2, less the images with themselves.
    squares = features.double().square().sum()
    paired, everything = classes.sums.square().sum() - squares, classes.sums.sum(0).square().sum() - squares
    paired_pairs = int((classes.sizes * (classes.sizes - 1)).sum())
    unpaired_pairs = len(features) * (len(features) - 1) - paired_pairs
    from_centre = (classes.means - classes.sums.sum(0) / len(features)).square().sum(1)
    return OverlapReport(
        **shared(counts, influence),
        paired=float(paired / paired_pairs),
        unpaired=float((everything - paired) / unpaired_pairs),
        within_variance=float((features - classes.means.to(features.dtype)[classes.index]).square().sum(1).mean()),
        between_variance=float((from_centre * classes.sizes).sum() / len(features)),
    )
