"""Corrections of image features, by their name in IMO.CORRECTION.

A correction is an encoder and, for IsoCLIP, a linear map on its un-normalised features. Zero-shot logits and Tip-X's KL
keep CLIP's own features whatever the correction.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from imo.classify.isoclip import IsoClip
from imo.errors import InputError
from imo.trainers.base.task import Task

ENCODERS = {"none": "clip", "adapter": "adapter", "isoclip": "clip"}

# Shares of the rank that are tried, after the published choice for ViT-B/16's classification: the first 200 and the
# last 50 of 512.
TOPS = (0, 25 / 512, 50 / 512, 100 / 512, 200 / 512)
BOTTOMS = (0, 25 / 512, 50 / 512)


def isoclip_of(model: Any, name: str, options: Any) -> IsoClip:
    """The `IsoClip` of a CLIP model's projectors.

    Args:
        model: CLIP.
        name: of the backbone, for messages.
        options: the config node IMO.ISOCLIP.

    Raises:
        InputError: the backbone has no linear projector, or the options leave no direction.
    """
    projector = getattr(model.visual, "proj", None)
    if not torch.is_tensor(projector):
        raise InputError(
            f"IMO.CORRECTION: isoclip needs a visual encoder that ends in a linear projector, and that of '{name}' is "
            f"a {type(model.visual).__name__}; choose a ViT backbone, or another correction"
        )
    isoclip = IsoClip(projector.data, model.text_projection.data)
    isoclip.map(*isoclip_ranges(options, isoclip.rank)[0])
    return isoclip


def isoclip_ranges(options: Any, rank: int) -> list[tuple[int, int]]:
    """Pairs (top, bottom) of how many first and last directions to drop, fewest dropped first; a single pair where the
    options fix both."""
    tops = sorted({round(share * rank) for share in TOPS}) if options.TOP == -1 else [options.TOP]
    bottoms = sorted({round(share * rank) for share in BOTTOMS}) if options.BOTTOM == -1 else [options.BOTTOM]
    pairs = sorted(((top, bottom) for top in tops for bottom in bottoms), key=lambda pair: (sum(pair), pair))
    return [pair for pair in pairs if sum(pair) < rank] or pairs


def choose_isoclip(isoclip: IsoClip, pairs: list[tuple[int, int]], task: Task) -> tuple[int, int]:
    """The first pair (top, bottom) under which most tuning images are nearest, by mean affinity, to the support images
    of their class. Where there is nothing to tune on, the last pair: the published shares."""
    if len(pairs) == 1 or not task.tunable:
        return pairs[-1]
    queries, keys, one_hot = task.tuning, task.keys, F.one_hot(task.labels, len(task.text))

    def right(pair: tuple[int, int]) -> int:
        corrected = isoclip.map(*pair)
        affinity = mean_affinity(queries.features @ corrected, keys @ corrected, one_hot, queries.own_keys)
        return int((affinity.argmax(1) == queries.targets).sum())

    return max(pairs, key=right)


def mean_affinity(
    queries: torch.Tensor, keys: torch.Tensor, one_hot: torch.Tensor, own_keys: torch.Tensor | None = None
) -> torch.Tensor:
    """(N, C) mean cosine similarity of each query to the keys of each class, without its own key; -inf for no keys."""
    queries, keys, one_hot = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1), one_hot.to(keys.dtype)
    sums, counts = queries @ (one_hot.T @ keys).T, one_hot.sum(0).expand(len(queries), -1)
    if own_keys is not None:
        sums = sums - (queries * keys[own_keys]).sum(1, keepdim=True) * one_hot[own_keys]
        counts = counts - one_hot[own_keys]
    return torch.where(counts > 0, sums / counts, -torch.inf)
