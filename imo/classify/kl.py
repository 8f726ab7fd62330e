"""Tip-X's affinity by text: KL divergences between class distributions.

Source: Tip-X (Udandarao et al., SuS-X, ICCV 2023, https://arxiv.org/abs/2211.16198).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from imo.checks import check_matrix
from imo.classify.cache import CacheModel

KL_TEMPERATURE = 0.5  # class probabilities are softmax(f W^T / 0.5)


def class_probabilities(features: torch.Tensor, classifier: torch.Tensor) -> torch.Tensor:
    """Tip-X's signature of an image: softmax of its text similarities at temperature 0.5. (N, d), (C, d) -> (N, C)."""
    check_matrix("classifier", classifier)
    check_matrix("features", features, classifier.shape[1], classifier.dtype)
    weights = F.normalize(classifier, dim=-1)
    return torch.softmax(F.normalize(features, dim=-1) @ weights.T / KL_TEMPERATURE, dim=-1)


def _relative_log(probs: torch.Tensor) -> torch.Tensor:
    """Logarithms relative to 1/C: in a KL divergence the terms of the difference are then as small as the result, and
    float32 loses nothing to cancellation."""
    return (probs.clamp(min=torch.finfo(probs.dtype).tiny) * probs.shape[1]).log()


def kl_divergence(query_probs: torch.Tensor, key_probs: torch.Tensor) -> torch.Tensor:
    """`KL(query_i || key_j)` in nats for all pairs as one matrix product. (N, C), (M, C) -> (N, M).

    The published loop handles N // 100 whole batches, so that up to 99 last rows keep zeros; here every row counts.
    """
    check_matrix("query_probs", query_probs)
    check_matrix("key_probs", key_probs, query_probs.shape[1], query_probs.dtype)
    return _negative_entropy(query_probs) - query_probs @ _relative_log(key_probs).T


def _negative_entropy(probs: torch.Tensor) -> torch.Tensor:
    """Relative to the uniform distribution's, as the logarithms are. (N, C) -> (N, 1)."""
    return (probs * _relative_log(probs)).sum(1, keepdim=True)


@dataclass(frozen=True)
class Phi:
    """Tip-X's phi: KL divergences rescaled from their own range to that of the affinity, then negated.

    The published code takes both ranges over the whole test matrix, so that one test image's prediction depends on the
    others (`fit` on the data to be scored: "paper"). A `Phi` fitted on validation data keeps the ranges, and a query is
    scored alone ("inductive").
    """

    kl_low: float
    kl_high: float
    low: float
    high: float

    @classmethod
    def fit(
        cls,
        cache: CacheModel,
        queries: torch.Tensor,
        query_probs: torch.Tensor,
        key_probs: torch.Tensor,
        own_keys: torch.Tensor | None = None,
        chunk: int = 256,
    ) -> Phi:
        """Ranges of KL and affinity between all queries and keys, `chunk` queries in memory at a time.

        Args:
            cache: the cache model, whose keys give the affinity.
            queries: (N, d) features.
            query_probs: (N, C) class probabilities of the queries.
            key_probs: (M, C) class probabilities of the keys.
            own_keys: (N,) int64 position of the key that each query leaves out.
            chunk: no effect on the result.
        """
        check_matrix("key_probs", key_probs, query_probs.shape[1], query_probs.dtype)
        log_keys = _relative_log(key_probs).T
        ranges = []
        for start in range(0, len(queries), chunk):
            rows = slice(start, start + chunk)
            kl = _negative_entropy(query_probs[rows]) - query_probs[rows] @ log_keys
            pairs = kl, cache.affinity(queries[rows])
            if own_keys is not None:
                here = torch.arange(len(kl), device=queries.device)
                for values in pairs:  # a neighbour's value, which widens no range
                    values[here, own_keys[rows]] = values[here, own_keys[rows] - 1]
            ranges.append([float(v) for values in pairs for v in values.aminmax()])
        kl_low, kl_high, low, high = zip(*ranges)
        return cls(min(kl_low), max(kl_high), min(low), max(high))

    @property
    def slope(self) -> float:
        """Affinity per nat. 0 where all divergences are alike, up to rounding: there is nothing to rescale."""
        width = self.kl_high - self.kl_low
        return (self.high - self.low) / width if width > torch.finfo(torch.float32).eps else 0.0

    def __call__(self, kl: torch.Tensor) -> torch.Tensor:
        """Same shape as `kl`."""
        return -((kl - self.kl_low) * self.slope + self.low)


def kl_scores(
    cache: CacheModel,
    query_probs: torch.Tensor,
    key_probs: torch.Tensor,
    phi: Phi,
    own_keys: torch.Tensor | None = None,
) -> torch.Tensor:
    """`phi(-KL) L`, the class scores that Tip-X adds with weight gamma.

    phi is affine and KL(p || q) is affine in log q, so that the keys of a class enter by their count and mean alone: a
    product with C columns in place of M.

    Args:
        cache: the cache model.
        query_probs: (N, C) class probabilities of the queries.
        key_probs: (M, C) class probabilities of the keys.
        phi: the ranges.
        own_keys: (N,) int64 position of the key that each query leaves out.

    Returns:
        (N, C).
    """
    check_matrix("key_probs", key_probs, query_probs.shape[1], query_probs.dtype)
    counts = torch.bincount(cache.labels, minlength=cache.num_classes).to(query_probs.dtype)
    means = cache.sum_by_class(_relative_log(key_probs).T) / counts.clamp(min=1)  # (C, C), a column a class of keys
    kl = _negative_entropy(query_probs) - query_probs @ means
    scores = phi(kl) * counts
    if own_keys is not None:
        own = (query_probs * (_relative_log(query_probs) - _relative_log(key_probs[own_keys]))).sum(1)
        scores.scatter_add_(1, cache.labels[own_keys][:, None], -phi(own)[:, None])
    return scores
