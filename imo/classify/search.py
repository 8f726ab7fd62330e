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

from imo.checks import check_kind, check_labels, check_matrix, check_number, check_rows
from imo.classify.cache import CacheModel
from imo.classify.intervals import BLOCK, AlphaCounter, Intervals, Logits, alpha_intervals
from imo.errors import InputError
from imo.pieces import MULTIPLIED, in_pieces


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
            try:
                values = np.asarray(getattr(self, name), dtype=np.float64)
            except (TypeError, ValueError, RuntimeError):  # texts, a generator, a tensor with a gradient
                values = np.empty(0)
            if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or (np.diff(values) <= 0).any():
                raise InputError(f"grid: {name} must be finite and ascending, got {getattr(self, name)!r}")
            object.__setattr__(self, name, tuple(values.tolist()))


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


@torch.no_grad()
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

    Class scores are computed in float32 (half precision is converted first), or in float64 where all is float64; where
    the best two logits of a sample are too near to each other for that, they are compared in float64. So the counts are
    those of a search that computes the logits of every setting in float64 from these scores.

    Args:
        zero_shot: (N, C).
        cache: the cache model.
        queries: (N, d) features, for the cache model's affinity.
        targets: (N,) int64 classes.
        grid: the values to try, betas of at least 0.
        kl_scores: (N, C) Tip-X's `phi(-KL) L`; None for a search without gamma.
        own_keys: (N,) int64 position of a key that each query leaves out. Where the queries are the support set, these
            are the queries' own keys (leave-one-out).
        continuous: whether to search all alphas from the grid's first to its last, which must differ. Of the intervals
            of best alphas the middle of the widest is taken. Needs 8 bytes of memory per sample, beta and gamma
            (float32).
        chunk: queries in memory at a time; no effect on the result.
        progress: wraps the sequence of chunks, for instance `tqdm`.

    Raises:
        InputError: shapes, dtypes or labels that do not fit, NaN, no samples.
    """
    check_kind("cache", cache, CacheModel)
    check_kind("grid", grid, Grid)
    queries = check_matrix("queries", queries, cache.keys.shape[1], cache.keys.dtype)
    zero_shot = check_matrix("zero_shot", zero_shot, cache.num_classes, queries.dtype)
    check_rows("zero_shot", zero_shot, len(queries), "queries")
    check_labels("targets", targets, len(queries), cache.num_classes)
    if kl_scores is None:
        grid = Grid(grid.alphas, grid.betas)
    else:
        kl_scores = check_matrix("kl_scores", kl_scores, cache.num_classes, queries.dtype)
        check_rows("kl_scores", kl_scores, len(queries), "queries")
    if own_keys is not None:
        check_labels("own_keys", own_keys, len(queries), len(cache.keys))
    check_number("chunk", chunk, least=1, whole=True)
    check_kind("continuous", continuous, bool)
    if continuous and len(grid.alphas) < 2:
        raise InputError(f"grid: a continuous search goes from the first alpha to the last, got only {grid.alphas}")
    gammas = tuple(grid.gammas)
    correct = torch.zeros(len(grid.betas), len(gammas), len(grid.alphas), dtype=torch.int64, device=queries.device)
    alphas, exact_gammas = (
        torch.tensor(values, dtype=torch.float64, device=queries.device) for values in (grid.alphas, gammas)
    )
    count = AlphaCounter(alphas, exact_gammas, queries.dtype)
    precision = np.float64 if queries.dtype == torch.float64 else np.float32
    sweep = _Sweep(grid, exact_gammas, len(queries), precision) if continuous else None
    for start in progress(range(0, len(queries), chunk)):
        rows = slice(start, start + chunk)
        prior = kl_scores[rows] if kl_scores is not None else None
        own = own_keys[rows] if own_keys is not None else None
        affinity = in_pieces(cache.affinity, queries[rows], MULTIPLIED)
        for b, scores in enumerate(cache.scores_by_beta(affinity, grid.betas, own)):
            logits = Logits(zero_shot[rows], scores, prior, targets[rows])
            intervals = alpha_intervals(logits, gammas)
            correct[b] += count(logits, intervals)
            if sweep is not None:
                sweep.add(b, start, logits, intervals)
    surface = correct.permute(2, 0, 1).cpu().numpy()
    if sweep is None:
        a, b, g = (int(i) for i in np.unravel_index(int(np.argmax(surface)), surface.shape))  # the first of equals
        alpha, most = float(grid.alphas[a]), int(surface[a, b, g])
    else:
        alpha, b, g = sweep.best()
        found = Grid((alpha,), (grid.betas[b],), (gammas[g],))
        most = int(search(zero_shot, cache, queries, targets, found, kl_scores, own_keys, chunk=chunk).correct[0, 0, 0])
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
    """Keeps the alpha intervals of all samples, and finds the alphas that most of them cover."""

    def __init__(self, grid: Grid, gammas: torch.Tensor, samples: int, dtype: type[np.floating[Any]]) -> None:
        self.gammas = gammas
        self.first, self.last = float(grid.alphas[0]), float(grid.alphas[-1])
        self.ends = np.zeros((2, len(grid.betas), len(grid.gammas), samples), dtype=dtype)

    def add(self, b: int, start: int, logits: Logits, intervals: Intervals) -> None:
        """Keep the intervals of consecutive samples at one beta, cut to the range of alphas.

        Args:
            b: number of the beta.
            start: number of the first of the samples.
            logits, intervals: theirs.
        """
        low, high = (values.clamp(self.first, self.last) for values in (intervals.low, intervals.high))
        low = low.masked_fill(intervals.never, self.last)
        for pairs in intervals.unsure.nonzero().split(BLOCK):  # a tie between classes that alpha does not tell apart
            g, row = pairs.T
            middle = (low[g, row].double() + high[g, row]) / 2
            low[g, row] = low[g, row].where(logits.right(row, middle, self.gammas[g]), self.last)
        for ends, values in zip(self.ends, (low, high)):
            ends[b, :, start : start + values.shape[1]] = values.cpu().numpy()

    def best(self) -> tuple[float, int, int]:
        """The best alpha, and the numbers of its beta and gamma.

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
        _, _, alpha, b, g = max(found, key=lambda setting: setting[:2])
        return alpha, b, g
