"""Formulas of two linear probes that begin at the text classifier, LP++ and CLAP.

Sources: Huang et al., "LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP", CVPR 2024,
https://arxiv.org/abs/2404.02285; Silva-Rodriguez et al., "A Closer Look at the Few-Shot Adaptation of Large
Vision-Language Models" (CLAP), CVPR 2024, https://arxiv.org/abs/2312.12730.

Features are rows (N, d); classifiers (C, d) have a row for each class.
"""

from __future__ import annotations

import torch

from imo.checks import check_matrix


def blended_logits(
    features: torch.Tensor, weights: torch.Tensor, alphas: torch.Tensor, classifier: torch.Tensor
) -> torch.Tensor:
    """LP++'s logits `f (w_c + alpha_c t_c)`, (N, C).

    Args:
        features: f, (N, d).
        weights: w, (C, d), learnt.
        alphas: (C,), learnt.
        classifier: t, (C, d), the class texts.
    """
    return features @ (weights + alphas[:, None] * classifier).T


def class_sums(features: torch.Tensor, labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """LP++'s initial weights (C, d): the sum of each class's features (M, d); labels (M,) int64."""
    features = check_matrix("features", features)
    return features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)


def mean_own_similarity(features: torch.Tensor, labels: torch.Tensor, classifier: torch.Tensor) -> float:
    """Mean similarity of a class's features to its own text, averaged over the classes that have any.

    Args:
        features: (M, d).
        labels: (M,) int64.
        classifier: (C, d) class texts.
    """
    own = (check_matrix("features", features) * check_matrix("classifier", classifier)[labels]).sum(1)
    counts = torch.bincount(labels, minlength=len(classifier))
    return float((torch.bincount(labels, weights=own, minlength=len(classifier)) / counts)[counts > 0].mean())


def step_sizes(features: torch.Tensor, classifier: torch.Tensor) -> tuple[float, float]:
    """LP++'s step sizes for gradient descent on the mean cross-entropy: for the weights, and for the alphas.

    The weights' step is the inverse of a bound on the curvature, the alphas' step a sixteenth of such an inverse, as
    published. The bounds are those of one class: the Hessian of its weights is at most `F^T F / 4N`, that of its alpha
    at most `sum_i (f_i t_c)^2 / 4N`. For all classes together the bounds are twice as large (the Hessian of a softmax
    is at most 1/2), and a step of at most twice the inverse bound cannot raise the objective.

    Args:
        features: F, (N, d).
        classifier: t, (C, d) class texts.
    """
    features, classifier = check_matrix("features", features), check_matrix("classifier", classifier)
    count = len(features)
    largest = float(torch.linalg.eigvalsh(features.T.double() @ features.double())[-1])
    steepest = float((features @ classifier.T).square().sum(0).max())
    return 4 * count / largest, count / (4 * steepest)


def class_multipliers(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """CLAP's penalty weights (C,): for each class the mean zero-shot probability of its images; 0 without images.

    Args:
        logits: (N, C) zero-shot logits.
        labels: (N,) int64.
    """
    logits = check_matrix("logits", logits)
    own = torch.softmax(logits, dim=-1).gather(1, labels[:, None]).squeeze(1)
    counts = torch.bincount(labels, minlength=logits.shape[1]).clamp(min=1)
    return logits.new_zeros(logits.shape[1]).index_add_(0, labels, own) / counts


def anchored_penalty(weights: torch.Tensor, anchors: torch.Tensor, multipliers: torch.Tensor) -> torch.Tensor:
    """CLAP's penalty: mean over classes of `lambda_c |w_c - t_c|^2`, a scalar.

    Args:
        weights: w, (C, d).
        anchors: t, (C, d), the class texts.
        multipliers: lambda, (C,).
    """
    return (multipliers * (weights - anchors).square().sum(-1)).mean()
