"""Finds the interval of alphas for which a sample is classified correctly, for all gammas at once.

For fixed beta and gamma the logits `Z + gamma P + alpha S` are linear in alpha. A sample of class y is right if, for
each other class c, `alpha (S_y - S_c) > (Z + gamma P)_c - (Z + gamma P)_y`. Each c allows a half-line of alphas, so
that all together allow one interval. As gamma varies, each class with S_y > S_c gives a line of lower bounds, whose
maximum (upper envelope) is the interval's low end, and each class with S_y < S_c a line of upper bounds, whose minimum
is the high end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

BLOCK = 1024  # number of doubtful settings whose logits are in memory at a time
_ROUNDING = 16  # bound on an end's rounding error, in units of eps times the magnitudes that it was computed from


@dataclass(frozen=True)
class Logits:
    """The terms of the logits `zero_shot + gamma prior + alpha scores` of n samples.

    Attributes:
        zero_shot, scores: (n, C).
        prior: (n, C); None for zero.
        targets: (n,) int64 classes.
    """

    zero_shot: torch.Tensor
    scores: torch.Tensor
    prior: torch.Tensor | None
    targets: torch.Tensor

    def right(self, rows: torch.Tensor, alphas: torch.Tensor, gammas: torch.Tensor) -> torch.Tensor:
        """Compute logits in float64 for k pairs of a sample and a setting; returns (k,) bool, whether it is right.

        Args:
            rows: (k,) int64 numbers of samples.
            alphas, gammas: (k,) settings, float64.
        """
        logits = self.zero_shot[rows] + alphas[:, None] * self.scores[rows]
        if self.prior is not None:
            logits += gammas[:, None] * self.prior[rows]
        return logits.argmax(1) == self.targets[rows]


@dataclass(frozen=True)
class Intervals:
    """For G gammas and n samples, the alphas for which a sample is right: `low < alpha < high`. All are (G, n).

    Attributes:
        low, high: ends; infinite where the interval is unbounded.
        low_error, high_error: bounds on the ends' rounding errors.
        never: whether no alpha makes the sample right.
        unsure: whether the sample is too near to a tie to tell, whatever alpha is.
    """

    low: torch.Tensor
    high: torch.Tensor
    low_error: torch.Tensor
    high_error: torch.Tensor
    never: torch.Tensor
    unsure: torch.Tensor


def alpha_intervals(logits: Logits, gammas: tuple[float, ...]) -> Intervals:
    """Intervals of n samples for G gammas. Without a prior, G must be 1 and the gamma has no effect."""
    scores, own = logits.scores, logits.targets[:, None]
    gain = scores.gather(1, own) - scores  # (n, C): by how much one unit of alpha raises the target over class c
    lead = logits.zero_shot - logits.zero_shot.gather(1, own)  # (n, C): by how much class c is ahead of the target
    lead.scatter_(1, own, -torch.inf)  # the target does not compete with itself
    slope = logits.prior - logits.prior.gather(1, own) if logits.prior is not None else None  # lead per gamma
    least = 1e8 * torch.finfo(gain.dtype).tiny  # a smaller gain changes no logit, and its inverse could overflow
    rising, falling = gain > least, gain < -least
    level = ~(rising | falling)
    level.scatter_(1, own, False)
    inverse = 1 / gain

    def envelope(classes: torch.Tensor, factor: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        offsets = lead if factor is None else lead * factor
        slopes = slope if factor is None or slope is None else slope * factor
        return _upper_envelope(classes, offsets, slopes, gammas)

    low, low_error = envelope(rising, inverse)
    high, high_error = envelope(falling, -inverse)
    margin, margin_error = envelope(level, None)  # largest lead of a class that alpha does not change
    return Intervals(low, -high, low_error, high_error, margin > margin_error, margin.abs() <= margin_error)


def _upper_envelope(
    classes: torch.Tensor, offsets: torch.Tensor, slopes: torch.Tensor | None, gammas: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maximum of the lines `offset + gamma slope` of some classes at each gamma, and a bound on its rounding error.

    The rounding error is proportional to the two terms of the highest line. That line's slope is not looked up, but
    bounded: the maximum of lines is convex, so that its slope lies between the differences to the neighbouring gammas.
    For this, the first and last gamma get one more neighbour.

    Args:
        classes: (n, C) bool, the classes whose lines count.
        offsets, slopes: (n, C); no slopes for lines that are constant in gamma.
        gammas: G ascending values.

    Returns:
        (G, n) maxima, -inf where no class counts, and (G, n) bounds.
    """
    if not bool(classes.any()):
        nothing = offsets.new_full((len(gammas), len(offsets)), -torch.inf)
        return nothing, torch.zeros_like(nothing)
    offsets = torch.where(classes, offsets, -torch.inf)
    unit = _ROUNDING * torch.finfo(offsets.dtype).eps
    if slopes is None:
        top = offsets.amax(1)[None]
        return top, torch.where(top.isfinite(), unit * top.abs(), 0.0)
    slopes = torch.where(classes, slopes, 0.0)
    step = gammas[-1] - gammas[-2] if len(gammas) > 1 else 1.0
    wider = (gammas[0] - step, *gammas, gammas[-1] + step)
    tops, lines = offsets.new_empty(len(wider), len(offsets)), torch.empty_like(offsets)
    for gamma, top in zip(wider, tops):
        torch.amax(torch.add(offsets, slopes, alpha=gamma, out=lines), 1, out=top)
    at = torch.tensor(wider, dtype=tops.dtype, device=tops.device)[:, None]
    rates = ((tops[1:] - tops[:-1]) / (at[1:] - at[:-1])).abs()
    top = tops[1:-1]
    error = unit * (top.abs() + 2 * at[1:-1].abs() * torch.maximum(rates[1:], rates[:-1]))
    return top, torch.where(top.isfinite(), error, 0.0)


class AlphaCounter:
    """Counts the samples that are right at each alpha and gamma of a grid.

    Args:
        alphas: (A,) ascending, float64.
        gammas: (G,) those of the intervals, float64.
        dtype: of the intervals.
    """

    def __init__(self, alphas: torch.Tensor, gammas: torch.Tensor, dtype: torch.dtype) -> None:
        self._exact, self._gammas = alphas, gammas
        self.alphas = alphas = alphas.to(dtype)
        nan = alphas.new_full((1,), torch.nan)
        self._before, self._after = torch.cat([nan, alphas]), torch.cat([alphas, nan])

    def __call__(self, logits: Logits, intervals: Intervals) -> torch.Tensor:
        """Number of right samples (G, A), int64.

        Where an alpha is so near to an interval's end that rounding decides, the logits themselves are computed, in
        float64. So a tie counts as in a search that tries setting by setting (argmax takes the first of equal logits).
        """
        low, high, steps = intervals.low, intervals.high, len(self.alphas)
        first = torch.searchsorted(self.alphas, low + intervals.low_error, right=True)
        last = torch.searchsorted(self.alphas, high - intervals.high_error)
        doubtful = (self._before[first] >= low - intervals.low_error) | intervals.unsure
        doubtful |= self._after[last] <= high + intervals.high_error
        doubtful &= ~intervals.never
        nowhere = intervals.never | intervals.unsure | (first >= last)
        rows = (steps + 1) * torch.arange(len(low), device=low.device)[:, None]
        size = (steps + 1) * len(low)
        starts = torch.bincount((first.masked_fill(nowhere, steps) + rows).flatten(), minlength=size)
        stops = torch.bincount((last.masked_fill(nowhere, steps) + rows).flatten(), minlength=size)
        counts = (starts - stops).view(len(low), steps + 1).cumsum(1)[:, :steps]
        for pairs in doubtful.nonzero().split(BLOCK):
            self._decide(logits, intervals, pairs, counts)
        return counts

    def _decide(self, logits: Logits, intervals: Intervals, pairs: torch.Tensor, counts: torch.Tensor) -> None:
        """Compute the logits of all doubtful alphas of k pairs (gamma, sample), and add those that are right to
        `counts` (G, A).

        Args:
            pairs: (k, 2) int64, numbers of gammas and of samples.
        """
        g, row = pairs.T
        near = intervals.unsure[g, row][:, None]
        for end, error in ((intervals.low, intervals.low_error), (intervals.high, intervals.high_error)):
            end, error = end[g, row][:, None], error[g, row][:, None]
            near = near | ((self.alphas >= end - error) & (self.alphas <= end + error))
        for pair, a in (block.T for block in near.nonzero().split(BLOCK)):
            right = logits.right(row[pair], self._exact[a], self._gammas[g[pair]])
            counts.index_put_((g[pair][right], a[right]), counts.new_tensor(1), accumulate=True)
