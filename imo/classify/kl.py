"""Tip-X's second affinity: KL divergences between the images' zero-shot class distributions.

Source: Udandarao et al., SuS-X, ICCV 2023, https://arxiv.org/abs/2211.16198.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from imo.checks import check_floating, check_kind, check_labels, check_matrix, check_number, check_rows
from imo.classify.cache import CacheModel
from imo.errors import InputError
from imo.pieces import MULTIPLIED, in_pieces

KL_TEMPERATURE = 0.5  # class probabilities are softmax(f W^T / 0.5)


def class_probabilities(features: torch.Tensor, classifier: torch.Tensor) -> torch.Tensor:
    """Zero-shot class probabilities (N, C): softmax of cosine similarities to the class texts at temperature 0.5.

    Args:
        features: (N, d) floating; normalised here.
        classifier: (C, d) class texts, of the same dtype; normalised here.

    Raises:
        InputError: wrong shapes or dtypes, NaN.
    """
    classifier = check_matrix("classifier", classifier)
    features = check_matrix("features", features, classifier.shape[1], classifier.dtype)
    weights = F.normalize(classifier, dim=-1)
    return torch.softmax(F.normalize(features, dim=-1) @ weights.T / KL_TEMPERATURE, dim=-1)


def _check_probabilities(
    name: str, value: torch.Tensor, columns: int | None = None, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """As `check_matrix`; the rows must also be class probabilities."""
    probs = check_matrix(name, value, columns, dtype)
    if probs.min() < 0 or ((probs.sum(1) - 1).abs() > 0.01).any():  # half precision is that far off in 1,000 classes
        raise InputError(f"{name}: expected class probabilities, rows of numbers from 0 that add up to 1")
    return probs


def _relative_log(probs: torch.Tensor) -> torch.Tensor:
    """`log(C p)` of probabilities p of C classes. In a KL divergence the factor C cancels; with it both terms of the
    difference are as small as the result, so that float32 loses no digits in subtracting them."""
    return (probs.clamp(min=torch.finfo(probs.dtype).tiny) * probs.shape[1]).log()


def kl_divergence(query_probs: torch.Tensor, key_probs: torch.Tensor) -> torch.Tensor:
    """`KL(query_i || key_j)` (N, M), in nats, of all pairs.

    The published code goes through N // 100 batches of 100 queries, which leaves zeros for up to 99 last queries. Here
    all queries are computed.

    Args:
        query_probs: (N, C) class probabilities.
        key_probs: (M, C) class probabilities, of the same dtype.

    Raises:
        InputError: wrong shapes or dtypes, NaN.
    """
    query_probs = _check_probabilities("query_probs", query_probs)
    key_probs = _check_probabilities("key_probs", key_probs, query_probs.shape[1], query_probs.dtype)
    return _negative_entropy(query_probs) - query_probs @ _relative_log(key_probs).T


def _negative_entropy(probs: torch.Tensor) -> torch.Tensor:
    """Negative entropy (N, 1) of probabilities (N, C), plus log C: it goes with `_relative_log`."""
    return (probs * _relative_log(probs)).sum(1, keepdim=True)


def _checked(
    cache: CacheModel, query_probs: torch.Tensor, key_probs: torch.Tensor, own_keys: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check what belongs to a cache model; returns the probabilities of queries and of keys."""
    check_kind("cache", cache, CacheModel)
    query_probs = _check_probabilities("query_probs", query_probs)
    key_probs = _check_probabilities("key_probs", key_probs, query_probs.shape[1], query_probs.dtype)
    check_rows("key_probs", key_probs, len(cache.keys), "cache.keys")
    if own_keys is not None:
        check_labels("own_keys", own_keys, len(query_probs), len(key_probs))
    return query_probs, key_probs


@dataclass(frozen=True)
class Phi:
    """Tip-X's phi, which rescales KL divergences from their own range to that of the affinity, and negates them.

    The published code takes both ranges from the test images, so that the prediction for one depends on the others; for
    this (option PHI "paper"), call `fit` on the queries that are to be classified. With ranges from validation images
    ("inductive"), each query is classified by itself.

    Attributes:
        kl_low, kl_high: range of the KL divergences, in nats.
        low, high: range of the affinity.

    Raises:
        InputError: an end is not finite, or a range ends before it begins.
    """

    kl_low: float
    kl_high: float
    low: float
    high: float

    def __post_init__(self) -> None:
        check_number("kl_low", self.kl_low)
        check_number("kl_high", self.kl_high, least=self.kl_low)
        check_number("low", self.low)
        check_number("high", self.high, least=self.low)

    @classmethod
    @torch.no_grad()
    def fit(
        cls,
        cache: CacheModel,
        queries: torch.Tensor,
        query_probs: torch.Tensor,
        key_probs: torch.Tensor,
        own_keys: torch.Tensor | None = None,
        chunk: int = 256,
    ) -> Phi:
        """Take the ranges of KL divergence and affinity over all pairs of a query and a key.

        Args:
            cache: the cache model, whose keys give the affinity.
            queries: (N, d) features.
            query_probs: (N, C) class probabilities of the queries.
            key_probs: (M, C) class probabilities of the keys.
            own_keys: (N,) int64 position of a key that does not count for each query; None for none.
            chunk: queries in memory at a time; no effect on the result.

        Raises:
            InputError: wrong shapes or dtypes, NaN, no probabilities.
        """
        query_probs, key_probs = _checked(cache, query_probs, key_probs, own_keys)
        queries = check_matrix("queries", queries, cache.keys.shape[1], cache.keys.dtype)
        check_rows("queries", queries, len(query_probs), "query_probs")
        check_number("chunk", chunk, least=1, whole=True)
        log_keys = _relative_log(key_probs).T
        ranges = []
        for start in range(0, len(queries), chunk):
            rows = slice(start, start + chunk)
            cross = in_pieces(lambda probs: probs @ log_keys, query_probs[rows], MULTIPLIED)
            kl = _negative_entropy(query_probs[rows]) - cross
            pairs = kl, in_pieces(cache.affinity, queries[rows], MULTIPLIED)
            if own_keys is not None:
                here = torch.arange(len(kl), device=queries.device)
                for values in pairs:  # a query's own key gets the value of the key before it, which is in the range
                    values[here, own_keys[rows]] = values[here, own_keys[rows] - 1]
            ranges.append([float(v) for values in pairs for v in values.aminmax()])
        kl_low, kl_high, low, high = zip(*ranges)
        return cls(min(kl_low), max(kl_high), min(low), max(high))

    @property
    def slope(self) -> float:
        """Factor of the rescaling: affinity per nat. 0 if all divergences are equal up to rounding."""
        width = self.kl_high - self.kl_low
        return (self.high - self.low) / width if width > torch.finfo(torch.float32).eps else 0.0

    def __call__(self, kl: torch.Tensor) -> torch.Tensor:
        """Rescale and negate KL divergences, of any shape.

        Raises:
            InputError: they are no floating tensor.
        """
        check_floating("kl", kl)
        return -((kl - self.kl_low) * self.slope + self.low)


def kl_scores(
    cache: CacheModel,
    query_probs: torch.Tensor,
    key_probs: torch.Tensor,
    phi: Phi,
    own_keys: torch.Tensor | None = None,
) -> torch.Tensor:
    """`phi(-KL) L` (N, C), the class scores that Tip-X adds with weight gamma.

    phi is affine, and KL(p || q) is affine in log q. So the sum over the keys of a class follows from their number and
    the mean of their log q: one product with C columns in place of M.

    Args:
        cache: the cache model, for the labels of the keys.
        query_probs: (N, C) class probabilities of the queries.
        key_probs: (M, C) class probabilities of the keys, of the same dtype.
        phi: the rescaling.
        own_keys: (N,) int64 position of a key that each query leaves out; None for none.

    Raises:
        InputError: wrong shapes or dtypes, NaN, no probabilities.
    """
    query_probs, key_probs = _checked(cache, query_probs, key_probs, own_keys)
    check_kind("phi", phi, Phi)
    counts = torch.bincount(cache.labels, minlength=cache.num_classes).to(query_probs.dtype)
    means = cache.sum_by_class(_relative_log(key_probs).T) / counts.clamp(min=1)  # (C, C), columns: classes of keys
    kl = _negative_entropy(query_probs) - query_probs @ means
    scores = phi(kl) * counts
    if own_keys is not None:
        own = (query_probs * (_relative_log(query_probs) - _relative_log(key_probs[own_keys]))).sum(1)
        scores.scatter_add_(1, cache.labels[own_keys][:, None], -phi(own)[:, None])
    return scores
