"""For which alphas a sample is classified correctly: one interval a sample, for every gamma at once.

For fixed beta and gamma the logits `Z + gamma P + alpha S` are linear in alpha. A sample is right where its own class y
beats each other class c, `alpha (S_y - S_c) > (Z + gamma P)_c - (Z + gamma P)_y`: a half-line per c, so one interval of
alphas. Its ends are, over gamma, the upper envelope of one line a class where S_y > S_c, and the lower envelope of one
where S_y < S_c.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

_BLOCK = 1024  # doubtful settings whose logits are in memory at a time
_ROUNDING = 16  # rounding of an end, in units of eps times the magnitudes that it was computed from


@dataclass(frozen=True)
class Logits:
    """The parts, each (n, C), of the logits `zero_shot + gamma prior + alpha scores` of n samples with targets (n,)."""

    zero_shot: torch.Tensor
    scores: torch.Tensor
    prior: torch.Tensor | None
    targets: torch.Tensor

    def right(self, rows: torch.Tensor, alphas: torch.Tensor, gammas: torch.Tensor) -> torch.Tensor:
        """Whether samples `rows` are right at these settings, all (k,), by the logits themselves."""
        logits = self.zero_shot[rows] + alphas[:, None] * self.scores[rows]
        if self.prior is not None:
            logits += gammas[:, None] * self.prior[rows]
        return logits.argmax(1) == self.targets[rows]


@dataclass(frozen=True)
class Intervals:
    """Where samples are right: `low < alpha < high`, all (G, n).

    Attributes:
        low, high: ends, infinite where there is none.
        low_error, high_error: how far rounding may have moved them.
        never: no alpha is right.
        unsure: within rounding of a tie whatever alpha is.
    """

    low: torch.Tensor
    high: torch.Tensor
    low_error: torch.Tensor
    high_error: torch.Tensor
    never: torch.Tensor
    unsure: torch.Tensor


def alpha_intervals(logits: Logits, gammas: tuple[float, ...]) -> Intervals:
    """Intervals of n samples for G gammas; without a prior, G is 1 and its value has no effect."""
    scores, own = logits.scores, logits.targets[:, None]
    gain = scores.gather(1, own) - scores  # (n, C): what one unit of alpha gives the target over class c
    lead = logits.zero_shot - logits.zero_shot.gather(1, own)  # (n, C): lead of class c to be made up
    lead.scatter_(1, own, -torch.inf)  # the target does not compete with itself
    slope = logits.prior - logits.prior.gather(1, own) if logits.prior is not None else None  # of the lead, in gamma
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
    margin, margin_error = envelope(level, None)  # the lead of classes that alpha cannot overtake
    return Intervals(low, -high, low_error, high_error, margin > margin_error, margin.abs() <= margin_error)


def _upper_envelope(
    classes: torch.Tensor, offsets: torch.Tensor, slopes: torch.Tensor | None, gammas: tuple[float, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maximum over the given classes (n, C) of the lines `offset + gamma slope`, and its rounding error, (G, n).

    The error is in proportion to the terms of the line on top. Which line that is need not be known: the envelope is
    convex, so its differences to the gammas on either side enclose the slope. One more gamma at each end gives every
    gamma two neighbours.
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
    """Counts right samples at every alpha of a grid.

    Args:
        alphas: (A,) ascending.
    """

    def __init__(self, alphas: torch.Tensor, gammas: tuple[float, ...]) -> None:
        self.alphas = alphas
        self.gammas = torch.tensor(gammas, dtype=alphas.dtype, device=alphas.device)
        nan = alphas.new_full((1,), torch.nan)
        self._before, self._after = torch.cat([nan, alphas]), torch.cat([alphas, nan])

    def __call__(self, logits: Logits, intervals: Intervals) -> torch.Tensor:
        """(G, A) int64 numbers of right samples.

        Alphas within rounding of an interval's end are decided by the logits, so that exact ties (argmax takes the
        first of equals) are what they are in a search setting by setting.
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
        for pairs in doubtful.nonzero().split(_BLOCK):
            self._decide(logits, intervals, pairs, counts)
        return counts

    def _decide(self, logits: Logits, intervals: Intervals, pairs: torch.Tensor, counts: torch.Tensor) -> None:
        """Add to counts the doubtful alphas of (gamma, sample) pairs, (k, 2), that are right."""
        g, row = pairs.T
        near = intervals.unsure[g, row][:, None]
        for end, error in ((intervals.low, intervals.low_error), (intervals.high, intervals.high_error)):
            end, error = end[g, row][:, None], error[g, row][:, None]
            near = near | ((self.alphas >= end - error) & (self.alphas <= end + error))
        for pair, a in (block.T for block in near.nonzero().split(_BLOCK)):
            right = logits.right(row[pair], self.alphas[a], self.gammas[g[pair]])
            counts.index_put_((g[pair][right], a[right]), counts.new_tensor(1), accumulate=True)
