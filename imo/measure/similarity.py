"""Compares the similarities of paired (same class) and unpaired items without holding all pairs in memory.

Similarities are counted by level, chunk by chunk, and all statistics follow from the counts. For up to a million
similarities each distinct value is a level, so that the statistics are exact. For more, the levels are 100,000 bins of
[-1, 1]; `Counts.resolution` bounds the error of taking the similarities within a bin for equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from imo.pieces import MULTIPLIED, in_pieces

BINS = 200  # number of bins of a histogram over [-1, 1]
_FINE = 500 * BINS  # number of levels of a large set
_EXACT = 1000**2  # number of similarities up to which each distinct one is a level
_CHUNK = 1 << 22  # similarities of a large set in memory at a time
QUANTILE = 1.959964  # half the width of a 95 % interval of the normal distribution, in standard deviations


@dataclass(frozen=True)
class Counts:
    """Number of paired and unpaired similarities at each of L levels, ascending.

    Attributes:
        paired, unpaired: (L,) int64 numbers.
        bins: (L,) int64 histogram bin of each level.
        exact: whether a level is a single value.
    """

    paired: torch.Tensor
    unpaired: torch.Tensor
    bins: torch.Tensor
    exact: bool

    def histogram(self, counts: torch.Tensor) -> torch.Tensor:
        """Histogram (BINS,) of `paired` or `unpaired`, given as `counts`: shares that add up to 1, float64."""
        sums = torch.zeros(BINS, dtype=torch.float64, device=counts.device)
        return sums.index_add_(0, self.bins, counts.double()) / counts.sum()

    def area(self) -> float:
        """Area that the two histograms have in common, 0 to 1."""
        return float(torch.minimum(self.histogram(self.paired), self.histogram(self.unpaired)).sum())

    def separation(self) -> float:
        """Probability that a paired similarity is higher than an unpaired one; a tie counts half (Mann-Whitney)."""
        return float(total(self.paired * _at_most(self.unpaired)) / self.paired.sum())

    def resolution(self) -> float:
        """Bound on the error of `separation`: half the probability that a paired and an unpaired similarity fall into
        the same bin."""
        if self.exact:
            return 0.0
        shares = self.paired.double() / self.paired.sum() * (self.unpaired.double() / self.unpaired.sum())
        return float(total(shares) / 2)


def total(values: torch.Tensor) -> torch.Tensor:
    """Sum of all values, one after the other: the same digits for any number of threads."""
    return values.flatten().cumsum(0)[-1]


def _at_most(counts: torch.Tensor) -> torch.Tensor:
    """Share (L,) of similarities below each level, of which those at the level count half."""
    return (counts.cumsum(0).double() - counts.double() / 2) / counts.sum()


class Similarities:
    """Cosine similarities of N rows to M columns. Those with equal labels are paired.

    Args:
        rows, columns: (N, d) and (M, d) normalised features. If both are the same tensor, the similarity of a row to
            itself does not count.
        row_labels, column_labels: (N,) and (M,) int64.
    """

    def __init__(
        self, rows: torch.Tensor, row_labels: torch.Tensor, columns: torch.Tensor, column_labels: torch.Tensor
    ) -> None:
        self.rows, self.row_labels, self.columns, self.column_labels = rows, row_labels, columns, column_labels
        self.one_set = rows is columns
        self._every = torch.arange(len(rows), device=rows.device)
        self.exact = len(rows) * len(columns) <= _EXACT
        self._step = len(rows) if self.exact else max(1, _CHUNK // len(columns))
        if self.exact:
            values, self._levels = torch.unique(self._similarity(rows), return_inverse=True)
        else:
            values = (torch.arange(_FINE, device=rows.device) + 0.5) * (2 / _FINE) - 1
        self._bins = _bin(values, BINS)

    def _similarity(self, rows: torch.Tensor) -> torch.Tensor:
        """Similarities (n, M) of some rows (n, d); each pair's is the same in every chunk."""
        return in_pieces(lambda part: part @ self.columns.T, rows, MULTIPLIED)

    def _chunks(self, chosen: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the chosen rows' numbers, chunk by chunk, (n,), with codes (n, M) of their similarities.

        A code is the level of an unpaired similarity, L plus the level of a paired one, and 2 L for that of a row to
        itself.
        """
        most = len(self._bins)
        for rows in chosen.split(self._step):
            codes = self._levels[rows] if self.exact else _bin(self._similarity(self.rows[rows]), _FINE)
            codes += most * (self.row_labels[rows, None] == self.column_labels)
            if self.one_set:
                codes[torch.arange(len(rows), device=rows.device), rows] = 2 * most
            yield rows, codes

    def count(self, chosen: torch.Tensor | None = None) -> Counts:
        """Count the similarities of all rows, or of the chosen ones, (n,) int64 numbers of rows."""
        most = len(self._bins)
        counts = torch.zeros(2 * most + 1, dtype=torch.int64, device=self.rows.device)
        for _, codes in self._chunks(self._every if chosen is None else chosen):
            counts += torch.bincount(codes.flatten(), minlength=len(counts))
        return Counts(counts[most : 2 * most], counts[:most], self._bins, self.exact)

    def influence(self, counts: Counts) -> torch.Tensor:
        """Influence (N,) of each row on the separation: the derivative of the separation by the row's weight, float64.

        Args:
            counts: of all rows.
        """
        separation = counts.separation()
        # The change that one more similarity at each level makes: a paired one, by the share of unpaired ones below it;
        # an unpaired one, by the share of paired ones above it.
        paired = (_at_most(counts.unpaired) - separation) / counts.paired.sum()
        unpaired = (1 - _at_most(counts.paired) - separation) / counts.unpaired.sum()
        added = torch.cat([unpaired, paired, paired.new_zeros(1)])
        influence = added.new_empty(len(self.rows))
        for rows, codes in self._chunks(self._every):
            influence[rows] = added[codes].sum(1)
        return influence * (1 + self.one_set)  # in one set, a pair also depends on its column's weight


def error(influence: torch.Tensor) -> float:
    """Standard error of the separation over random draws of the rows, from their influences.

    Pairs that share an image are not independent. Images are, so the variance is the sum of their squared influences
    (the infinitesimal jackknife; for two independent samples, DeLong's estimate).
    """
    return float(total(influence.square()).sqrt())


def interval(separation: float, influence: torch.Tensor) -> tuple[float, float]:
    """95 % confidence interval of the separation over random draws of the rows.

    It is a normal interval of the separation's logit, so that its ends lie between 0 and 1. A separation of 0 or 1 has
    no spread to estimate from; both ends are the separation itself then.
    """
    if separation in (0.0, 1.0):
        return separation, separation
    centre = math.log(separation / (1 - separation))
    reach = QUANTILE * error(influence) / (separation * (1 - separation))
    low, high = ((1 + math.tanh((centre + side * reach) / 2)) / 2 for side in (-1, 1))
    return low, high


def _bin(similarity: torch.Tensor, bins: int) -> torch.Tensor:
    """Number of the equal bin of [-1, 1] that each similarity lies in, int64."""
    return (similarity + 1).mul_(bins / 2).clamp_(0, bins - 1).long()
