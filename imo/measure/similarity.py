"""Similarities of paired (same class) and unpaired rows and columns, compared without all pairs in memory.

Similarities are counted by level, chunk by chunk, and everything follows from the counts. Of a small set each distinct
similarity is a level, so the counts are exact; of a large one levels are 100,000 bins of [-1, 1], and what ties within
a bin can hide is counted too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

BINS = 200  # of a histogram over the cosine axis -1..1
_FINE = 500 * BINS  # levels of a large set
_EXACT = 1000**2  # similarities up to which levels are exact
_CHUNK = 1 << 22  # similarities in memory at a time, beyond that
QUANTILE = 1.959964  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Counts:
    """How many paired and unpaired similarities lie at each level.

    Attributes:
        paired, unpaired: (L,) int64.
        bins: (L,) int64, the histogram bin of each level.
        exact: whether levels are single values.
    """

    paired: torch.Tensor
    unpaired: torch.Tensor
    bins: torch.Tensor
    exact: bool

    def histogram(self, counts: torch.Tensor) -> torch.Tensor:
        """(BINS,) shares of `paired` or `unpaired`, float64."""
        sums = torch.zeros(BINS, dtype=torch.float64, device=counts.device)
        return sums.index_add_(0, self.bins, counts.double()) / counts.sum()

    def area(self) -> float:
        """Area that the two histograms share."""
        return float(torch.minimum(self.histogram(self.paired), self.histogram(self.unpaired)).sum())

    def separation(self) -> float:
        """Probability that a paired similarity exceeds an unpaired one, ties counting half (Mann-Whitney)."""
        return float((self.paired * _at_most(self.unpaired)).sum() / self.paired.sum())

    def resolution(self) -> float:
        """By how much `separation` can differ from its exact value: half the probability of the same bin."""
        if self.exact:
            return 0.0
        shares = self.paired.double() / self.paired.sum() * (self.unpaired.double() / self.unpaired.sum())
        return float(shares.sum() / 2)


def _at_most(counts: torch.Tensor) -> torch.Tensor:
    """(L,) share of the counted similarities below each level, those at it counting half."""
    return (counts.cumsum(0).double() - counts.double() / 2) / counts.sum()


class Similarities:
    """Cosine similarities of N rows and M columns.

    Args:
        rows, columns: (N, d) and (M, d), normalised; the same tensor for pairs within one set, where a row's similarity
            with itself is left out.
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
            values, self._levels = torch.unique(rows @ columns.T, return_inverse=True)
        else:
            values = (torch.arange(_FINE, device=rows.device) + 0.5) * (2 / _FINE) - 1
        self._bins = _bin(values, BINS)

    def _chunks(self, chosen: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Numbers of the chosen rows (n,), and codes (n, M): the level of an unpaired similarity, L more of a paired
        one, 2 L of a row's with itself."""
        most = len(self._bins)
        for rows in chosen.split(self._step):
            codes = self._levels[rows] if self.exact else _bin(self.rows[rows] @ self.columns.T, _FINE)
            codes += most * (self.row_labels[rows, None] == self.column_labels)
            if self.one_set:
                codes[torch.arange(len(rows), device=rows.device), rows] = 2 * most
            yield rows, codes

    def count(self, chosen: torch.Tensor | None = None) -> Counts:
        """Counts of all pairs, or of those of the chosen rows, (n,) int64."""
        most = len(self._bins)
        counts = torch.zeros(2 * most + 1, dtype=torch.int64, device=self.rows.device)
        for _, codes in self._chunks(self._every if chosen is None else chosen):
            counts += torch.bincount(codes.flatten(), minlength=len(counts))
        return Counts(counts[most : 2 * most], counts[:most], self._bins, self.exact)

    def influence(self, counts: Counts) -> torch.Tensor:
        """(N,) float64: what a little more weight on each row would add to the separation (its derivative)."""
        separation = counts.separation()
        # What one more similarity at a level adds: a paired one by the unpaired it exceeds, and the other way round.
        paired = (_at_most(counts.unpaired) - separation) / counts.paired.sum()
        unpaired = (1 - _at_most(counts.paired) - separation) / counts.unpaired.sum()
        added = torch.cat([unpaired, paired, paired.new_zeros(1)])
        influence = added.new_empty(len(self.rows))
        for rows, codes in self._chunks(self._every):
            influence[rows] = added[codes].sum(1)
        return influence * (1 + self.one_set)  # a pair within one set is seen from both its ends


def error(influence: torch.Tensor) -> float:
    """Standard error over other draws of the rows.

    Pairs that share an image are not independent, so the variance is that of the rows' influences (the infinitesimal
    jackknife; for two independent samples it is DeLong's).
    """
    return float(influence.square().sum().sqrt())


def interval(separation: float, influence: torch.Tensor) -> tuple[float, float]:
    """95 % interval over other draws of the rows; normal on the logit scale, which keeps it within 0..1.

    Where paired and unpaired do not overlap at all there is no spread to go by: a point.
    """
    if separation in (0.0, 1.0):
        return separation, separation
    centre = math.log(separation / (1 - separation))
    reach = QUANTILE * error(influence) / (separation * (1 - separation))
    low, high = ((1 + math.tanh((centre + side * reach) / 2)) / 2 for side in (-1, 1))
    return low, high


def _bin(similarity: torch.Tensor, bins: int) -> torch.Tensor:
    """Which of the equal bins of [-1, 1] each similarity lies in, int64."""
    return (similarity + 1).mul_(bins / 2).clamp_(0, bins - 1).long()
