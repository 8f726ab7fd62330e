"""LP++ and CLAP against loops over samples and classes."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from imo.classify.probes import (
    anchored_penalty,
    blended_logits,
    class_multipliers,
    class_sums,
    mean_own_similarity,
    step_sizes,
)

CLASSES, SIZE = 4, 6
LABELS = torch.tensor([0, 2, 2, 1, 0, 2, 3])  # ragged


def rows(count, seed):
    return F.normalize(torch.randn(count, SIZE, generator=torch.Generator().manual_seed(seed)).double(), dim=-1)


@pytest.fixture
def problem():
    return rows(len(LABELS), 0), rows(CLASSES, 1)


def mean_loss(features, weights, alphas, classifier):
    """Mean cross-entropy by loops."""
    total = 0.0
    for feature, label in zip(features.numpy(), LABELS.tolist()):
        scores = [feature @ (weights[c].numpy() + float(alphas[c]) * classifier[c].numpy()) for c in range(CLASSES)]
        total += math.log(sum(math.exp(score) for score in scores)) - scores[label]
    return total / len(LABELS)


def test_blended_logits_against_a_loop(problem):
    features, classifier = problem
    weights, alphas = rows(CLASSES, 2), torch.tensor([0.5, -1.0, 3.0, 0.0]).double()
    logits = blended_logits(features, weights, alphas, classifier)
    for i in range(len(features)):
        for c in range(CLASSES):
            by_hand = float(features[i] @ weights[c] + alphas[c] * (features[i] @ classifier[c]))
            assert float(logits[i, c]) == pytest.approx(by_hand, abs=1e-12)
    assert float(F.cross_entropy(logits, LABELS)) == pytest.approx(mean_loss(features, weights, alphas, classifier))


def test_starting_point_against_loops(problem):
    features, classifier = problem
    sums = class_sums(features, LABELS, CLASSES + 1)
    for c in range(CLASSES + 1):
        members = [row for row, label in zip(features.numpy(), LABELS.tolist()) if label == c]
        np.testing.assert_allclose(sums[c].numpy(), np.sum(members, axis=0) if members else 0, atol=1e-12)
    own = [
        np.mean([row @ classifier[c].numpy() for row, label in zip(features.numpy(), LABELS.tolist()) if label == c])
        for c in range(CLASSES)
    ]
    assert mean_own_similarity(features, LABELS, classifier) == pytest.approx(np.mean(own))


def test_step_sizes_are_those_of_the_paper(problem):
    features, classifier = problem
    step, alpha_step = step_sizes(features, classifier)
    array = features.numpy()
    largest = np.linalg.norm(array, 2) ** 2  # by singular values
    assert step == pytest.approx(4 * len(array) / largest)
    steepest = max(sum(float(row @ text) ** 2 for row in array) for text in classifier.numpy())
    assert alpha_step == pytest.approx(len(array) / (4 * steepest))


@pytest.mark.parametrize("seed", range(8))
def test_no_step_raises_the_objective(problem, seed):
    features, classifier = problem
    generator = torch.Generator().manual_seed(seed)
    scale = 10.0 ** (seed % 4 - 1)  # flat and saturated softmaxes
    weights = (scale * torch.randn(CLASSES, SIZE, generator=generator).double()).requires_grad_()
    alphas = (scale * torch.randn(CLASSES, generator=generator).double()).requires_grad_()
    F.cross_entropy(blended_logits(features, weights, alphas, classifier), LABELS).backward()
    step, alpha_step = step_sizes(features, classifier)
    with torch.no_grad():
        before = mean_loss(features, weights, alphas, classifier)
        assert mean_loss(features, weights - step * weights.grad, alphas, classifier) < before
        assert mean_loss(features, weights, alphas - alpha_step * alphas.grad, classifier) < before


def test_class_multipliers_against_loops():
    logits = 3 * torch.randn(len(LABELS), CLASSES + 1, generator=torch.Generator().manual_seed(3))
    found = class_multipliers(logits, LABELS)
    for c in range(CLASSES + 1):
        own = [
            math.exp(row[c]) / sum(math.exp(value) for value in row)
            for row, label in zip(logits.tolist(), LABELS.tolist())
            if label == c
        ]
        assert float(found[c]) == pytest.approx(np.mean(own) if own else 0.0, rel=1e-5)


def test_penalty_by_hand():
    weights, anchors = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, -4.0]])
    # squared distances 5 and 25, multipliers 0.5 and 0.1: (2.5 + 2.5) / 2
    assert float(anchored_penalty(weights, anchors, torch.tensor([0.5, 0.1]))) == pytest.approx(2.5)
    assert float(anchored_penalty(anchors, anchors, torch.tensor([0.5, 0.1]))) == 0.0
