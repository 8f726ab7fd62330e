"""Exact search of the best alpha, beta and gamma, without computing the logits of every setting.

For fixed beta and gamma a sample is classified correctly in one interval of alphas (see `imo.classify.intervals`). How
many intervals cover an alpha is the number of right samples there: counted at each alpha of a grid, or at the ends of
all intervals to find the best alpha of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from imo.checks import check_labels, check_matrix
from imo.classify.cache import CacheModel
from imo.classify.intervals import AlphaCounter, Intervals, Logits, alpha_intervals
from imo.errors import InputError


@dataclass(frozen=True)
class Grid:
    """Values to try of each hyper-parameter, ascending. Only Tip-X has a gamma.

    Raises:
        InputError: values that are not finite and ascending, or none.
    """

    alphas: Sequence[float]
    betas: Sequence[float]
    gammas: Sequence[float] = (0.0,)

    def __post_init__(self) -> None:
        for name in ("alphas", "betas", "gammas"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or (np.diff(values) <= 0).any():
                raise InputError(f"grid: {name} must be finite and ascending, got {getattr(self, name)}")


PAPER_GRID = Grid(
    tuple(np.linspace(0, 20, 200).tolist()),
    tuple(np.linspace(0, 20, 20).tolist()),
    tuple(np.linspace(0, 20, 50).tolist()),
)


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        alpha, beta, gamma: the best setting; gamma is None for a search without KL scores.
        accuracy: percent of the samples that are right with it.
        grid: what was searched; its gammas are (0,) for a search without KL scores.
        correct: (A, B, G) int64 number of right samples at each alpha, beta and gamma of the grid.
        samples: number of samples, N.
    """

    alpha: float
    beta: float
    gamma: float | None
    accuracy: float
    grid: Grid = field(repr=False)
    correct: np.ndarray = field(repr=False)
    samples: int


def search(
    zero_shot: torch.Tensor,
    cache: CacheModel,
    queries: torch.Tensor,
    targets: torch.Tensor,
    grid: Grid = PAPER_GRID,
    kl_scores: torch.Tensor | None = None,
    own_keys: torch.Tensor | None = None,
    continuous: bool = False,
    chunk: int = 128,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> SearchResult:
    """Find the setting for which most samples are classified correctly by the logits
    `zero_shot + alpha * cache.class_scores(affinity, beta) + gamma * kl_scores`.

    Of equally good settings on the grid the first in (alpha, beta, gamma) order wins, as in the published code.

    Args:
        zero_shot: (N, C).
        cache: the cache model.
        queries: (N, d) features, for the cache model's affinity.
        targets: (N,) int64 classes.
        grid: the values to try.
        kl_scores: (N, C) Tip-X's `phi(-KL) L`; None for a search without gamma.
        own_keys: (N,) int64 position of a key that each query leaves out. Where the queries are the support set, these
            are the queries' own keys (leave-one-out).
        continuous: whether to search all alphas from the grid's first to its last. Of the intervals of best alphas the
            middle of the widest is taken. Needs 8 bytes of memory per sample, beta and gamma (float32).
        chunk: queries in memory at a time; no effect on the result.
        progress: wraps the sequence of chunks, for instance `tqdm`.

    Raises:
        InputError: shapes, dtypes or labels that do not fit, NaN, no samples.
    """
    check_matrix("queries", queries, cache.keys.shape[1])
    check_matrix("zero_shot", zero_shot, cache.num_classes, queries.dtype)
    check_labels("targets", targets, len(queries), cache.num_classes)
    if len(zero_shot) != len(queries):
        raise InputError(f"zero_shot: expected {len(queries)} rows as in queries, got {len(zero_shot)}")
    if kl_scores is not None:
        check_matrix("kl_scores", kl_scores, cache.num_classes, queries.dtype)
        if len(kl_scores) != len(queries):
            raise InputError(f"kl_scores: expected {len(queries)} rows as in queries, got {len(kl_scores)}")
    if own_keys is not None:
        check_labels("own_keys", own_keys, len(queries), len(cache.keys))
    if chunk < 1:
        raise InputError(f"chunk: expected at least 1, got {chunk}")
    if kl_scores is None:
        grid = Grid(grid.alphas, grid.betas)
    gammas = tuple(grid.gammas)
    correct = torch.zeros(len(grid.betas), len(gammas), len(grid.alphas), dtype=torch.int64, device=queries.device)
    precision = np.float64 if queries.dtype == torch.float64 else np.float32
    sweep = _Sweep(grid, len(queries), precision) if continuous else None
    count = AlphaCounter(torch.tensor(grid.alphas, dtype=queries.dtype, device=queries.device), gammas)
    for start in progress(range(0, len(queries), chunk)):
        rows = slice(start, start + chunk)
        prior = kl_scores[rows] if kl_scores is not None else None
        own = own_keys[rows] if own_keys is not None else None
        for b, scores in enumerate(cache.scores_by_beta(cache.affinity(queries[rows]), grid.betas, own)):
            logits = Logits(zero_shot[rows], scores, prior, targets[rows])
            intervals = alpha_intervals(logits, gammas)
            correct[b] += count(logits, intervals)
            if sweep is not None:
                sweep.add(b, start, intervals)
    surface = correct.permute(2, 0, 1).cpu().numpy()
    if sweep is None:
        a, b, g = (int(i) for i in np.unravel_index(int(np.argmax(surface)), surface.shape))  # the first of equals
        alpha, most = float(grid.alphas[a]), int(surface[a, b, g])
    else:
        alpha, b, g, most = sweep.best()
    return SearchResult(
        alpha=alpha,
        beta=float(grid.betas[b]),
        gamma=float(gammas[g]) if kl_scores is not None else None,
        accuracy=100.0 * most / len(queries),
        grid=grid,
        correct=surface,
        samples=len(queries),
    )


class _Sweep:
    """Keeps the alpha intervals of all samples, and finds the alphas that most of them cover.

    A sample that is too near to a tie to tell whatever alpha is (`Intervals.unsure`) counts as wrong.
    """

    def __init__(self, grid: Grid, samples: int, dtype: type[np.floating[Any]]) -> None:
        self.first, self.last = float(grid.alphas[0]), float(grid.alphas[-1])
        self.ends = np.zeros((2, len(grid.betas), len(grid.gammas), samples), dtype=dtype)

    def add(self, b: int, start: int, intervals: Intervals) -> None:
        """Keep the intervals of consecutive samples at one beta, cut to the range of alphas.

        Args:
            b: number of the beta.
            start: number of the first of the samples.
            intervals: theirs.
        """
        nowhere = intervals.never | intervals.unsure
        for ends, values in zip(self.ends, (intervals.low.masked_fill(nowhere, torch.inf), intervals.high)):
            cut = values.clamp(self.first, self.last).cpu().numpy()
            ends[b, :, start : start + cut.shape[1]] = cut

    def best(self) -> tuple[float, int, int, int]:
        """The best alpha, the numbers of its beta and gamma, and the number of right samples.

        Of equally good settings the one in the widest interval of alphas is taken.
        """
        found = []
        for b, g in np.ndindex(self.ends.shape[1:3]):
            low, high = self.ends[:, b, g].astype(np.float64)
            low, high = low[low < high], high[low < high]
            at, where = np.unique(np.concatenate([[self.first, self.last], low, high]), return_inverse=True)
            change = np.zeros(len(at), dtype=np.int64)
            np.add.at(change, where[2 : 2 + len(low)], 1)
            np.add.at(change, where[2 + len(low) :], -1)
            kept = change != 0  # elsewhere as many intervals begin as end
            kept[[0, -1]] = True
            at, depth = at[kept], change[kept].cumsum()[:-1]
            widths = np.where(depth == depth.max(initial=0), np.diff(at), 0.0)
            widest = int(widths.argmax())
            found.append((int(depth[widest]), float(widths[widest]), float(at[widest : widest + 2].mean()), b, g))
        most, _, alpha, b, g = max(found, key=lambda setting: setting[:2])
        return alpha, b, g, most
