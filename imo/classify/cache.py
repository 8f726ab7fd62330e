"""The cache model of Tip-Adapter: affinities of queries to keys, and scores of classes.

Source: Zhang et al., ECCV 2022, https://arxiv.org/abs/2207.09519. Features are rows; they are L2-normalised here.
All is computed in float32, half precision too, and in float64 where the keys are float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F

from imo.checks import check_floating, check_labels, check_matrix, check_number


class CacheModel:
    """A cache with the features of the support set as keys, and their one-hot labels L (M, C) as values.

    Args:
        keys: (M, d) floating; normalised here.
        labels: (M,) int64 class of each key. A class may have any number of keys, or none.
        num_classes: C.
        weights: (M,) floating factor on each key's value, float64 if the keys are; None for factors of 1.

    Raises:
        InputError: wrong shape, dtype or label range, NaN, no keys.
    """

    def __init__(
        self, keys: torch.Tensor, labels: torch.Tensor, num_classes: int, weights: torch.Tensor | None = None
    ) -> None:
        keys = check_matrix("keys", keys)
        check_number("num_classes", num_classes, least=1, whole=True)
        check_labels("labels", labels, len(keys), num_classes)
        if weights is not None:
            check_floating("weights", weights)
            weights = check_matrix("weights", weights[None], len(keys), keys.dtype)[0]
        self.keys = F.normalize(keys, dim=-1)
        self.labels = labels.to(keys.device)
        self.weights = weights
        self.num_classes = num_classes
        self._sums = _ClassSums(self.labels, num_classes)

    def affinity(self, queries: torch.Tensor) -> torch.Tensor:
        """Cosine similarity of each query to each key. (N, d) -> (N, M)."""
        queries = check_matrix("queries", queries, self.keys.shape[1], self.keys.dtype)
        return F.normalize(queries, dim=-1) @ self.keys.T

    def class_scores(self, affinity: torch.Tensor, beta: float, own_keys: torch.Tensor | None = None) -> torch.Tensor:
        """Scores `exp(-beta (1 - affinity)) L`, (N, C).

        Args:
            affinity: (N, M), from `affinity`.
            beta: sharpness, at least 0; higher values give more weight to the most similar keys.
            own_keys: (N,) int64 position of a key that each query leaves out. Where the queries are the support set
                itself, these are the queries' own keys (leave-one-out).

        Raises:
            InputError: wrong shapes, dtypes or key positions, NaN, or a negative beta.
        """
        return next(self.scores_by_beta(affinity, (beta,), own_keys))

    def scores_by_beta(
        self, affinity: torch.Tensor, betas: Sequence[float], own_keys: torch.Tensor | None = None
    ) -> Iterator[torch.Tensor]:
        """Yield `class_scores`, (N, C), at each of several ascending betas. Evenly spaced betas are fast: they need two
        exponentials of the whole matrix in all."""
        affinity = check_matrix("affinity", affinity, len(self.labels), self.keys.dtype)
        check_number("beta", betas[0], least=0)
        if own_keys is not None:
            check_labels("own_keys", own_keys, len(affinity), len(self.labels))
        distance = self._sums.arrange(1 - affinity)
        values = torch.exp(-betas[0] * distance)
        if self.weights is not None:
            values *= self._sums.arrange(self.weights[None])
        if own_keys is not None:
            values[torch.arange(len(values), device=values.device), self._sums.place(own_keys)] = 0
        yield self._sums(values)
        step, ratio = 0.0, values  # from here on exp(-(beta + step) d) = exp(-beta d) exp(-step d)
        for lower, upper in itertools.pairwise(betas):
            if not math.isclose(upper - lower, step, rel_tol=1e-9):
                step = upper - lower
                ratio = torch.exp(-step * distance)
            values *= ratio
            yield self._sums(values)

    def sum_by_class(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of each row's values over the keys of each class, `values L`. (N, M) -> (N, C)."""
        values = check_matrix("values", values, len(self.labels))
        return self._sums(self._sums.arrange(values))


class _ClassSums:
    """Sums the columns of each class of a matrix, faster than a product with one-hot labels.

    Columns are first arranged in rounds: the first key of every class, then the second of every class, and so on. The
    sum is then the sum of the rounds. Within a round classes with more keys come first, so that a class that runs out
    of keys is missing at the end of the later rounds.
    """

    def __init__(self, labels: torch.Tensor, num_classes: int) -> None:
        counts = torch.bincount(labels, minlength=num_classes)
        self.classes = torch.argsort(counts, descending=True, stable=True)
        by_class = torch.argsort(labels, stable=True)
        nth = torch.empty_like(labels)  # the number of each key within its class, from 0
        nth[by_class] = torch.arange(len(labels), device=labels.device) - (counts.cumsum(0) - counts)[labels[by_class]]
        rank = torch.argsort(self.classes)
        self.order = torch.argsort(nth * num_classes + rank[labels])
        self.sizes: list[int] = torch.bincount(nth).tolist()  # number of classes in each round
        self.num_classes = num_classes

    def arrange(self, values: torch.Tensor) -> torch.Tensor:
        """A copy with the columns arranged in rounds. (N, M) -> (N, M)."""
        return values[:, self.order]

    def place(self, keys: torch.Tensor) -> torch.Tensor:
        """Positions (n,) of keys (n,) among the arranged columns."""
        return torch.argsort(self.order)[keys]

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Sums by class of arranged columns. (N, M) -> (N, C)."""
        if len(set(self.sizes)) == 1 and self.sizes[0] == self.num_classes:  # all rounds are full: one operation
            return values.view(len(values), len(self.sizes), self.num_classes).sum(1)
        sums = values.new_zeros(len(values), self.num_classes)
        for size, part in zip(self.sizes, values.split(self.sizes, 1)):
            sums[:, :size] += part
        return torch.empty_like(sums).index_copy_(1, self.classes, sums)
