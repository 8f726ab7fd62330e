"""The cache model's arithmetic: affinities, class scores, and Tip-X's KL affinities.

Sources: Tip-Adapter (Zhang et al., ECCV 2022, https://arxiv.org/abs/2207.09519), Tip-X (Udandarao et al., SuS-X,
ICCV 2023, https://arxiv.org/abs/2211.16198). Features are rows, L2-normalised here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from imo.errors import InputError

KL_TEMPERATURE = 0.5  # Tip-X: class probabilities are softmax(f W^T / 0.5)


def check_matrix(name: str, value: torch.Tensor, columns: int | None = None, dtype: torch.dtype | None = None) -> None:
    """A non-empty floating (rows, columns) matrix without NaN or infinity, or an InputError that names it."""
    wanted = f"a {dtype or 'floating'} matrix with {columns if columns is not None else 'any number of'} columns"
    fits = torch.is_tensor(value) and value.ndim == 2 and value.is_floating_point()
    if not fits or value.dtype != (dtype or value.dtype):
        got = f"{value.dtype} {tuple(value.shape)}" if torch.is_tensor(value) else type(value).__name__
        raise InputError(f"{name}: expected {wanted}, got {got}")
    if value.numel() == 0 or (columns is not None and value.shape[1] != columns):
        raise InputError(f"{name}: expected {wanted} and at least one row, got shape {tuple(value.shape)}")
    if not torch.isfinite(value).all():
        row = int((~torch.isfinite(value)).any(1).nonzero()[0])
        raise InputError(f"{name}: row {row} holds NaN or infinity")


def check_labels(name: str, value: torch.Tensor, rows: int, num_classes: int) -> None:
    """(rows,) int64 in 0..num_classes-1, or an InputError that names it."""
    if not torch.is_tensor(value) or value.dtype != torch.int64 or value.shape != (rows,):
        got = f"{value.dtype} {tuple(value.shape)}" if torch.is_tensor(value) else type(value).__name__
        raise InputError(f"{name}: expected int64 of shape ({rows},), got {got}")
    if rows and not 0 <= int(value.min()) <= int(value.max()) < num_classes:
        raise InputError(f"{name}: expected values in 0..{num_classes - 1}, got {int(value.min())}..{int(value.max())}")


class CacheModel:
    """Keys are features of the support set, values their one-hot labels.

    Args:
        keys: (M, d) floating; normalised here.
        labels: (M,) int64 class of each key. A class may have any number of keys, none too.
        num_classes: C.

    Raises:
        InputError: wrong shape, dtype or label range, NaN, no keys.
    """

    def __init__(self, keys: torch.Tensor, labels: torch.Tensor, num_classes: int) -> None:
        check_matrix("keys", keys)
        check_labels("labels", labels, len(keys), num_classes)
        self.keys = F.normalize(keys, dim=-1)
        self.labels = labels.to(keys.device)
        self.num_classes = num_classes
        counts = torch.bincount(self.labels, minlength=num_classes)
        self._order = torch.argsort(self.labels, stable=True)
        self._in_order = bool((self.labels[1:] >= self.labels[:-1]).all())
        self._per_class = int(counts[0]) if bool((counts == counts[0]).all()) else None

    def affinity(self, queries: torch.Tensor) -> torch.Tensor:
        """Cosine similarity of each query to each key. (N, d) -> (N, M)."""
        check_matrix("queries", queries, self.keys.shape[1], self.keys.dtype)
        return F.normalize(queries, dim=-1) @ self.keys.T

    def class_scores(self, affinity: torch.Tensor, beta: float) -> torch.Tensor:
        """`exp(-beta (1 - affinity)) L`. (N, M) -> (N, C)."""
        self._check_columns("affinity", affinity)
        return self.sum_by_class(torch.exp(-beta * (1 - affinity)))

    def sum_by_class(self, values: torch.Tensor) -> torch.Tensor:
        """`values L`, with L the one-hot labels, without the product. (N, M) -> (N, C)."""
        self._check_columns("values", values)
        if self._per_class is not None:  # even classes: keys of a class side by side, summed as one axis
            ordered = values if self._in_order else values[:, self._order]
            return ordered.reshape(len(values), self.num_classes, self._per_class).sum(-1)
        return values.new_zeros(len(values), self.num_classes).index_add_(1, self.labels, values)

    def _check_columns(self, name: str, value: torch.Tensor) -> None:
        if value.ndim != 2 or value.shape[1] != len(self.labels):
            raise InputError(f"{name}: expected shape (N, {len(self.labels)}), got {tuple(value.shape)}")


def class_probabilities(features: torch.Tensor, classifier: torch.Tensor) -> torch.Tensor:
    """Tip-X's signature of an image: softmax of its text similarities at temperature 0.5. (N, d), (C, d) -> (N, C)."""
    check_matrix("classifier", classifier)
    check_matrix("features", features, classifier.shape[1], classifier.dtype)
    weights = F.normalize(classifier, dim=-1)
    return torch.softmax(F.normalize(features, dim=-1) @ weights.T / KL_TEMPERATURE, dim=-1)


def kl_divergence(query_probs: torch.Tensor, key_probs: torch.Tensor) -> torch.Tensor:
    """`KL(query_i || key_j)` for all pairs as one matrix product. (N, C), (M, C) -> (N, M).

    The published loop handles N // 100 whole batches, so that up to 99 last rows keep zeros; here every row counts.
    Both logarithms are taken relative to 1/C: the terms of the difference are then as small as the result, and float32
    loses nothing to cancellation.
    """
    check_matrix("query_probs", query_probs)
    check_matrix("key_probs", key_probs, query_probs.shape[1], query_probs.dtype)
    tiny = torch.finfo(query_probs.dtype).tiny
    log_query = (query_probs.clamp(min=tiny) * query_probs.shape[1]).log()
    log_key = (key_probs.clamp(min=tiny) * query_probs.shape[1]).log()
    return (query_probs * log_query).sum(1, keepdim=True) - query_probs @ log_key.T


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
    def fit(cls, kl: torch.Tensor, affinity: torch.Tensor) -> Phi:
        """Ranges of a KL matrix and an affinity matrix, both (N, M)."""
        return cls(*(float(v) for v in (kl.min(), kl.max(), affinity.min(), affinity.max())))

    def __call__(self, kl: torch.Tensor) -> torch.Tensor:
        """Same shape as `kl`."""
        width = self.kl_high - self.kl_low
        slope = (self.high - self.low) / width if width > 0 else 0.0
        return -((kl - self.kl_low) * slope + self.low)


def kl_scores(cache: CacheModel, kl: torch.Tensor, phi: Phi) -> torch.Tensor:
    """`phi(-KL) L`, the class scores that Tip-X adds with weight gamma. (N, M) -> (N, C)."""
    return cache.sum_by_class(phi(kl))
