import math

import numpy as np
import pytest
import torch

import imo


def naive(features, labels):
    """Every statistic from lists of pairs, in float64."""
    f = np.asarray(features, np.float64)
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    paired, unpaired = [], []
    for i in range(len(f)):
        for j in range(i):
            (paired if labels[i] == labels[j] else unpaired).append(f[i] @ f[j])
    wins = sum((p > u) + (p == u) / 2 for p in paired for u in unpaired)
    shares = [np.histogram(x, bins=200, range=(-1, 1))[0] / len(x) for x in (paired, unpaired)]
    means = np.array([f[np.asarray(labels) == label].mean(0) for label in labels])
    return {
        "area": np.minimum(*shares).sum(),
        "separation": wins / len(paired) / len(unpaired),
        "paired": np.mean(paired),
        "unpaired": np.mean(unpaired),
        "within_variance": ((f - means) ** 2).sum(1).mean(),
        "between_variance": ((means - f.mean(0)) ** 2).sum(1).mean(),
        "images": len(f),
    }


def test_a_case_worked_out_by_hand():
    """Two classes of two on the circle: 0 and 60 degrees, 90 and 180. Paired: cos 60 = 1/2 and cos 90 = 0.
    Unpaired: cos 90 = 0, cos 180 = -1, cos 30, cos 120 = -1/2.

    1/2 exceeds three of four; 0 exceeds two and ties with one: (3 + 2.5) / 8. Of each histogram, the bin at 0 holds
    1/2 and 1/4: shared area 1/4. Class means lie at squared distances 1/4 and 1/2 from their members.
    """
    features = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)], [0.0, 1.0], [-1.0, 0.0]])
    report = imo.overlap(7 * features, torch.tensor([0, 0, 1, 1]))
    assert report.paired == pytest.approx(0.25, abs=1e-6)
    assert report.unpaired == pytest.approx((math.sqrt(0.75) - 1.5) / 4, abs=1e-6)
    assert report.separation == pytest.approx(5.5 / 8)
    assert report.area == pytest.approx(0.25)
    assert report.within_variance == pytest.approx((1 / 4 + 1 / 2) / 2, abs=1e-6)
    gap = (0.75 + 0.5) ** 2 + (math.sqrt(0.75) / 2 - 0.5) ** 2  # squared distance of the two class means
    assert report.between_variance == pytest.approx(gap / 4, abs=1e-6)
    assert report.images == 4


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2, 2, 5], [3, 0, 3, 3, 0, 3, 3, 3]], ids=["ragged", "two classes"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_statistics_match_lists_of_pairs(labels, dtype):
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    report = imo.overlap(features, torch.tensor(labels))
    for name, value in naive(features, labels).items():
        assert getattr(report, name) == pytest.approx(value, abs=1e-6), name


def test_the_variances_add_up_to_the_total():
    features = torch.randn(60, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    report = imo.overlap(features, torch.arange(60) % 7)
    unit = features / features.norm(dim=1, keepdim=True)
    total = (unit - unit.mean(0)).square().sum(1).mean().item()
    assert report.within_variance + report.between_variance == pytest.approx(total, abs=1e-6)


def test_equal_similarities_are_ties_and_share_everything():
    report = imo.overlap(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))
    assert report.separation == 0.5
    assert report.area == pytest.approx(1.0)
    assert report.between_variance == pytest.approx(0.0, abs=1e-12)


def test_identical_distributions_share_area_1():
    """Class 0 is {1, -1, -1} and class 1 is {1}: similarities -1, -1, 1 both in pairs and across."""
    report = imo.overlap(torch.tensor([[1.0], [-1.0], [-1.0], [1.0]]), torch.tensor([0, 0, 0, 1]))
    assert report.area == pytest.approx(1.0)
    assert report.separation == pytest.approx(0.5)


def test_disjoint_distributions_have_area_0_and_separation_1():
    report = imo.overlap(torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4))
    assert (report.area, report.separation) == (0.0, 1.0)
    assert (report.paired, report.unpaired, report.within_variance) == (1.0, 0.0, 0.0)


def test_classes_of_opposites_have_separation_0():
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    assert imo.overlap(features, torch.tensor([0, 0, 1])).separation == 0.0


def test_of_a_large_set_a_seeded_sample_is_taken():
    features, labels = torch.randn(90, 2, generator=torch.Generator().manual_seed(0)), torch.arange(90) % 2
    first, again, other = (imo.overlap(features, labels, seed, most=40) for seed in (0, 0, 1))
    assert first.images == 40
    assert first == again
    assert first != other
    assert imo.overlap(features[:40], labels[:40]).images == 40


@pytest.mark.parametrize(
    "features, labels, named",
    [
        (torch.ones(4), torch.tensor([0, 0, 1, 1]), "features"),
        (torch.ones(4, 2).long(), torch.tensor([0, 0, 1, 1]), "features"),
        (torch.full((4, 2), math.nan), torch.tensor([0, 0, 1, 1]), "features: row 0"),
        (torch.ones(0, 2), torch.tensor([], dtype=torch.int64), "features"),
        (torch.ones(4, 2), torch.tensor([0, 0, 1]), "labels"),
        (torch.ones(4, 2), torch.tensor([0.0, 0.0, 1.0, 1.0]), "labels"),
        (torch.ones(4, 2), torch.tensor([0, 0, -1, -1]), "labels"),
        (torch.ones(4, 2), torch.tensor([], dtype=torch.int64), "labels"),
        (torch.ones(4, 2), torch.tensor([1, 1, 1, 1]), "labels"),
        (torch.ones(4, 2), torch.tensor([0, 1, 2, 3]), "labels"),
        (torch.ones(1, 2), torch.tensor([0]), "labels"),
        pytest.param(*(torch.ones(2, 2), [0, 1], "labels")),
        pytest.param(
            *(torch.ones(2, 2), torch.tensor([0.0, math.nan]), "labels"),
        ),
    ],
)
def test_overlap_names_the_argument_it_refuses(features, labels, named):
    with pytest.raises(imo.InputError, match=named):
        imo.overlap(features, labels)
