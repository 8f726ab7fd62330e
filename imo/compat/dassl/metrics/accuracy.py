"""Top-k accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def compute_accuracy(
    output: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor, topk: Sequence[int] = (1,)
) -> list[torch.Tensor]:
    """For each k of `topk`, the percentage of rows whose target is among the k highest scores, as a (1,) tensor.

    Args:
        output: (N, C) scores, or a sequence that begins with them.
        target: (N,) labels.
        topk: numbers of highest scores.
    """
    scores = output if isinstance(output, torch.Tensor) else output[0]
    best = scores.topk(max(topk), dim=1).indices
    hits = best.eq(target.view(-1, 1)).float()
    return [hits[:, :k].sum().reshape(1) * (100.0 / target.size(0)) for k in topk]
