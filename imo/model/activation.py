"""CLIP's activation function, with the same bits whatever the number of threads."""

from __future__ import annotations

import torch
from torch import nn


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), as in OpenAI's CLIP (https://github.com/openai/CLIP).

    On CPU each thread computes an even share of the elements, and PyTorch's sigmoid rounds the last ones of a share in
    another way than the others; its exp does not. The gradient of exp overflows, so with gradients sigmoid is taken.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(...) -> (...)."""
        if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_grad_enabled():
            return x * torch.sigmoid(1.702 * x)
        return x / (1 + torch.exp(-1.702 * x))


def replace_activations(model: nn.Module) -> None:
    """Put `QuickGELU` in the place of CLIP's own modules of that name."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ == "QuickGELU":
                setattr(parent, name, QuickGELU())
