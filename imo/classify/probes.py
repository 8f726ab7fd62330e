"""Arithmetic of linear probes that start from the text classifier: LP++ and CLAP.

Features are rows; classifiers (C, d) have a row per class.
"""

from __future__ import annotations

import torch


def blended_logits(
    features: torch.Tensor, weights: torch.Tensor, alphas: torch.Tensor, classifier: torch.Tensor
) -> torch.Tensor:
    """LP++: `f (w_c + alpha_c t_c)`. (N, d), (C, d), (C,), (C, d) -> (N, C)."""
    return features @ (weights + alphas[:, None] * classifier).T


def class_sums(features: torch.Tensor, labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """LP++'s first weights: the sum of each class's features. (M, d), (M,) -> (C, d)."""
    return features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)


def mean_own_similarity(features: torch.Tensor, labels: torch.Tensor, classifier: torch.Tensor) -> float:
    """Mean over classes of the mean similarity of a class's features to its own text. (M, d), (M,), (C, d)."""
    own = (features * classifier[labels]).sum(1)
    counts = torch.bincount(labels, minlength=len(classifier))
    return float((torch.bincount(labels, weights=own, minlength=len(classifier)) / counts)[counts > 0].mean())


def step_sizes(features: torch.Tensor, classifier: torch.Tensor) -> tuple[float, float]:
    """LP++'s step sizes of gradient descent on the mean cross-entropy, for the weights and for the alphas.

    The block of the Hessian that belongs to one class's weights is at most `F^T F / 4N`, to one alpha at most
    `sum_i (f_i t_c)^2 / 4N`. The weights step by the inverse of the first bound, the alphas, as published, by a
    sixteenth of the inverse of the second. For all classes at once the bounds are twice as large (a softmax's Hessian
    is at most 1/2), so that neither step can raise the objective.
    """
    count = len(features)
    largest = float(torch.linalg.eigvalsh(features.T.double() @ features.double())[-1])
    steepest = float((features @ classifier.T).square().sum(0).max())
    return 4 * count / largest, count / (4 * steepest)


def class_multipliers(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """CLAP: mean zero-shot probability of the true class, by class. (N, C), (N,) -> (C,); 0 without images."""
    own = torch.softmax(logits, dim=-1).gather(1, labels[:, None]).squeeze(1)
    counts = torch.bincount(labels, minlength=logits.shape[1]).clamp(min=1)
    return logits.new_zeros(logits.shape[1]).index_add_(0, labels, own) / counts


def anchored_penalty(weights: torch.Tensor, anchors: torch.Tensor, multipliers: torch.Tensor) -> torch.Tensor:
    """CLAP: mean over classes of `lambda_c |w_c - t_c|^2`. (C, d), (C, d), (C,) -> ()."""
    return (multipliers * (weights - anchors).square().sum(-1)).mean()
