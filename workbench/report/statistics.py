"""Tests and intervals for few, paired, clustered numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MOST_EXACT = 16  # differences of which all 65,536 sign patterns are tried
_DRAWS = 100_000
_RESAMPLES = 1000


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p-value of the paired sign-flip permutation test of a mean difference of 0.

    Without effect each difference could as well have had the other sign: p is the share of sign patterns under which
    the mean is at least as far from 0 as the one seen. Exact up to 16 differences; of more, 100,000 patterns are drawn,
    by a fixed seed.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) <= _MOST_EXACT:
        signs = 1 - 2 * (np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1)
        sums, own = signs @ values, 0
    else:
        signs = np.random.default_rng(0).choice((-1, 1), size=(_DRAWS, len(values)))
        sums, own = signs @ values, 1  # the pattern seen is one of all there are
    reached = np.abs(sums) >= abs(values.sum()) * (1 - 1e-12)  # rounding does not decide ties
    return float((reached.sum() + own) / (len(sums) + own))


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, index, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    last = counts.cumsum()
    found: NDArray[np.float64] = (last - (counts - 1) / 2)[index]
    return found


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Rank correlation; None where one side does not vary."""
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(np.corrcoef(ranks(x), ranks(y))[0, 1])


def spearman_interval(x: Sequence[float], y: Sequence[float], cluster: Sequence[str]) -> tuple[float, float] | None:
    """95 % percentile interval of the rank correlation over resampled clusters.

    Points of one dataset share their overlap and their images, so datasets are drawn, with all their points; by a fixed
    seed. None below three clusters. With few clusters it is rough.
    """
    members = {name: [i for i, c in enumerate(cluster) if c == name] for name in dict.fromkeys(cluster)}
    if len(members) < 3:
        return None
    groups, rng, found = list(members.values()), np.random.default_rng(0), []
    for _ in range(_RESAMPLES):
        chosen = [i for g in rng.integers(len(groups), size=len(groups)) for i in groups[g]]
        rho = spearman([x[i] for i in chosen], [y[i] for i in chosen])
        if rho is not None:
            found.append(rho)
    low, high = np.percentile(found, [2.5, 97.5]) if found else (np.nan, np.nan)
    return (float(low), float(high)) if found else None
