"""Top-k accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def compute_accuracy(
    output: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor, topk: Sequence[int] = (1,)
) -> list[torch.Tensor]:
    """The percentage of targets among the k highest scores, a one-element tensor for each k."""
    scores = output if isinstance(output, torch.Tensor) else output[0]
    best = scores.topk(max(topk), dim=1).indices
    hits = best.eq(target.view(-1, 1)).float()
    return [hits[:, :k].sum().reshape(1) * (100.0 / target.size(0)) for k in topk]
