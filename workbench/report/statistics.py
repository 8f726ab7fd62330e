"""Tests and intervals for few, paired, clustered numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import permutation_test, spearmanr

_DRAWS = 100_000  # sign patterns; up to 16 differences have fewer, 65,536, of which SciPy then tries all
_BATCH = 10_000
_RESAMPLES = 1000


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p-value of the paired sign-flip permutation test of a mean difference of 0.

    Without effect each difference could as well have had the other sign: p is the share of sign patterns under which
    the mean is at least as far from 0 as the one seen. Exact up to 16 differences; of more, 100,000 patterns are drawn,
    by a fixed seed.
    """
    if len(differences) < 2:  # either sign is as far from 0
        return 1.0
    found = permutation_test(
        (np.asarray(differences, dtype=np.float64),),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_DRAWS,
        batch=_BATCH,
        random_state=np.random.default_rng(0),
    )
    return float(found.pvalue)


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Rank correlation; None where one side does not vary."""
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(spearmanr(x, y).statistic)


def spearman_interval(x: Sequence[float], y: Sequence[float], cluster: Sequence[str]) -> tuple[float, float] | None:
    """95 % percentile interval of the rank correlation over resampled clusters.

    Points of one dataset share their overlap and their images, so datasets are drawn, with all their points; by a fixed
    seed. None below three clusters. With few clusters it is rough. (`scipy.stats.bootstrap` draws single points.)
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
    if not found:
        return None
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
