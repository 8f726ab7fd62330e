"""Counting, its two kinds of levels, and the interval against resampling and simulation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from imo.measure import similarity
from imo.measure.analysis import analyse_images, change
from imo.measure.similarity import Similarities, interval


def clusters(images, classes, seed, spread=1.0, size=6):
    """Normalised features of random classes around fixed centres, and labels."""
    centres = torch.randn(classes, size, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=generator)
    features = centres[labels] + spread * torch.randn(images, size, generator=generator)
    return F.normalize(features, dim=-1), labels


def own(features, labels):
    return Similarities(features, labels, features, labels)


def interval_of(pairs):
    counts = pairs.count()
    return interval(counts.separation(), pairs.influence(counts))


@pytest.fixture
def streamed(monkeypatch):
    """Chunks of seven rows, levels that are bins."""
    monkeypatch.setattr(similarity, "_EXACT", 0)
    monkeypatch.setattr(similarity, "_CHUNK", 7 * 101)


def test_streamed_counts_agree_with_exact_ones_to_the_stated_resolution(streamed, monkeypatch):
    features, labels = clusters(101, 4, 0)
    binned = own(features, labels)
    monkeypatch.setattr(similarity, "_EXACT", 101**2)
    exact = own(features, labels)
    assert exact.exact and not binned.exact
    few, all_ = exact.count(), binned.count()
    assert few.paired.sum() == all_.paired.sum() and few.unpaired.sum() == all_.unpaired.sum()
    assert all_.area() == pytest.approx(few.area(), abs=1e-12)
    assert 0 < all_.resolution() < 1e-4 and few.resolution() == 0
    assert abs(all_.separation() - few.separation()) <= all_.resolution()
    assert interval_of(binned) == pytest.approx(interval_of(exact), abs=1e-4)


def test_a_coarse_level_errs_within_the_resolution(streamed, monkeypatch):
    monkeypatch.setattr(similarity, "_FINE", 200)
    features, labels = clusters(101, 4, 0)
    coarse = own(features, labels).count()
    monkeypatch.setattr(similarity, "_EXACT", 101**2)
    error = abs(coarse.separation() - own(features, labels).count().separation())
    assert 0 < error <= coarse.resolution() < 0.01


def test_counts_of_chosen_rows_add_up():
    features, labels = clusters(101, 4, 0)
    pairs = own(features, labels)
    parts = [pairs.count((labels == label).nonzero().flatten()) for label in range(4)]
    assert torch.equal(sum(part.paired for part in parts), pairs.count().paired)
    assert torch.equal(sum(part.unpaired for part in parts), pairs.count().unpaired)


def weighted_separation(similarity_matrix, labels, weights):
    """Over all pairs of images drawn with these weights, from lists."""
    i, j = np.triu_indices(len(labels), 1)
    mass, same, values = weights[i] * weights[j], labels[i] == labels[j], similarity_matrix[i, j]
    order = np.argsort(values)
    mass, same = mass[order], same[order]
    below = np.cumsum(np.where(same, 0, mass))
    return (below * mass * same).sum() / (mass * same).sum() / (mass * ~same).sum()


def test_the_interval_has_the_width_of_a_bootstrap_over_images():
    """Multinomial weights on images, so that all pairs of an image come and go together."""
    features, labels = clusters(300, 5, 1)
    pairs = own(features, labels)
    low, high = interval_of(pairs)
    rng = np.random.default_rng(0)
    matrix = (features @ features.T).numpy()
    draws = [
        weighted_separation(matrix, labels.numpy(), rng.multinomial(300, np.full(300, 1 / 300)).astype(float))
        for _ in range(300)
    ]
    assert high - low == pytest.approx(2 * 1.96 * np.std(draws), rel=0.15)


@pytest.mark.parametrize("texts", [False, True], ids=["images", "texts"])
def test_the_interval_covers_the_truth_in_19_of_20_draws(texts):
    def measured(images, seed):
        features, labels = clusters(images, 5, seed)
        if not texts:
            return own(features, labels)
        centres = F.normalize(torch.randn(5, 6, generator=torch.Generator().manual_seed(99)), dim=-1)
        return Similarities(features, labels, centres, torch.arange(5))

    truth = measured(4000, 0).count().separation()
    covered, naive = 0, 0
    for seed in range(1, 201):
        pairs = measured(80, seed)
        counts = pairs.count()
        low, high = interval_of(pairs)
        covered += low <= truth <= high
        half = 1.96 * (counts.separation() * (1 - counts.separation()) / int(counts.paired.sum())) ** 0.5
        naive += abs(counts.separation() - truth) <= half
    assert 180 <= covered <= 200
    if not texts:
        assert naive < 180  # as if pairs were independent: what the interval is there to avoid


def test_similarities_that_do_not_overlap_have_a_point_for_an_interval():
    features, labels = torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
    assert interval_of(own(features, labels)) == (1.0, 1.0)


def test_the_interval_of_a_change_has_the_width_of_a_bootstrap_over_the_same_images():
    features, labels = clusters(200, 5, 1)
    other = F.normalize(
        features + 0.3 * torch.randn(features.shape, generator=torch.Generator().manual_seed(5)), dim=-1
    )
    added, low, high = change(analyse_images(features, labels), analyse_images(other, labels))
    rng, matrices, draws = np.random.default_rng(0), [(f @ f.T).numpy() for f in (features, other)], []
    for _ in range(300):
        weights = rng.multinomial(200, np.full(200, 1 / 200)).astype(float)
        before, after = (weighted_separation(matrix, labels.numpy(), weights) for matrix in matrices)
        draws.append(after - before)
    ones = np.ones(200)
    before, after = (weighted_separation(matrix, labels.numpy(), ones) for matrix in matrices)
    assert added == pytest.approx(after - before, abs=1e-6) == (low + high) / 2
    assert high - low == pytest.approx(2 * 1.96 * np.std(draws), rel=0.15)
    separate = [np.subtract(*interval_of(own(f, labels))) for f in (features, other)]
    assert high - low < np.hypot(*separate)
