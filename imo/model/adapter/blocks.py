"""Bottleneck adapters in the blocks of CLIP's visual transformer: attaching, switching on and off.

With adapters the visual encoder is "VEimo" of Kravets & Namboodiri, "CLIP Adaptation by Intra-Modal Overlap Reduction",
BMVC 2024, https://arxiv.org/abs/2409.11338. Each residual block has an adapter parallel to its MLP, which reads what
the attention step gives (as in AdaptFormer, Chen et al., NeurIPS 2022)::

    x = x + attn(ln_1(x))
    x = x + mlp(ln_2(x)) + scale * up(dropout(relu(down(x))))
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from imo.checks import check_number
from imo.errors import InputError


class Adapter(nn.Module):
    """`scale * up(dropout(relu(down(x))))`, (..., width) -> (..., width), which a block adds to its output.

    Zero for a new adapter: `up` and both biases begin at zero, `down` as Kaiming-uniform with a = sqrt(5).

    Attributes:
        enabled: whether the block uses the adapter.
    """

    def __init__(self, width: int, bottleneck: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.enabled = True
        self.down = nn.Linear(width, bottleneck)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(bottleneck, width)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the block adds."""
        hidden = self.dropout(torch.relu(self.down(x)))
        out: torch.Tensor = self.up(hidden) * self.scale
        return out


class _AdaptedBlock(nn.Module):
    """Mixin for a residual block of CLIP or open_clip that adds the adapter's output; open_clip's blocks also scale
    each branch by `ls_1` and `ls_2`. With the adapter off, the block's own forward runs."""

    adapter: Adapter
    attention: Callable[..., torch.Tensor]
    ln_1: nn.Module
    ln_2: nn.Module
    mlp: nn.Module

    def forward(self, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        """The block's output; shapes and options are those of the block's own forward."""
        if not self.adapter.enabled:
            plain: torch.Tensor = super().forward(x, *args, **options)
            return plain
        x = x + self._scaled("ls_1", self.attention(self.ln_1(x), *args, **options))
        out: torch.Tensor = x + self._scaled("ls_2", self.mlp(self.ln_2(x))) + self.adapter(x)
        return out

    def _scaled(self, name: str, branch: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = getattr(self, name)(branch) if hasattr(self, name) else branch
        return scaled


def check_clip(model: nn.Module) -> None:
    """Raise InputError unless `model` is a CLIP model."""
    if not isinstance(model, nn.Module) or not hasattr(model, "visual"):
        raise InputError(f"model: expected CLIP, as imo.load_clip gives it, got {type(model).__name__}")


def blocks_of(model: nn.Module) -> list[Any]:
    """The residual blocks of CLIP's visual tower, first to last.

    Raises:
        InputError: the tower is no vision transformer, or its blocks are not built like CLIP's; or there is no tower.
    """
    check_clip(model)
    visual: Any = model.visual
    blocks = list(visual.transformer.resblocks) if hasattr(visual, "transformer") else []
    if not blocks or any(not hasattr(block, "ln_1") or hasattr(block, "ln_attn") for block in blocks):
        kind = f"a {type(visual).__name__}" + (f" of {type(blocks[0]).__name__}" if blocks else "")
        raise InputError(
            f"adapters need a vision transformer with CLIP's blocks; this backbone's visual encoder is {kind}; choose "
            f"a ViT backbone or a trainer without correction"
        )
    return blocks


def adapters_of(model: nn.Module) -> list[Adapter]:
    """The adapters in CLIP's visual tower, first block to last; empty if none are attached."""
    check_clip(model)
    if not hasattr(model.visual, "transformer"):
        return []
    return [block.adapter for block in blocks_of(model) if isinstance(block, _AdaptedBlock)]


def attach_adapters(model: nn.Module, bottleneck: int = 64, scale: float = 0.03, dropout: float = 0.1) -> None:
    """Add a new adapter to every residual block of `model.visual`, in place. The model's output does not change.

    From then on only the adapters' parameters require gradients. The defaults are the paper's, with which ViT-B/16 gets
    1,189,632 parameters.

    Args:
        model: CLIP with a vision transformer.
        bottleneck: size of the hidden layer.
        scale: factor on the adapter's output.
        dropout: probability, between relu and up, in training mode only.

    Raises:
        InputError: the visual tower is no transformer or has adapters already; or bottleneck or dropout out of range.
    """
    check_number("bottleneck", bottleneck, least=1, whole=True)
    check_number("scale", scale)
    check_number("dropout", dropout, least=0)
    if dropout >= 1:
        raise InputError(f"dropout: expected a number below 1, got {dropout}")
    if adapters_of(model):
        raise InputError("adapters are attached already; load the backbone afresh for others")
    model.requires_grad_(False)
    for block in blocks_of(model):
        reference = block.mlp.c_fc.weight  # has the model's dtype; a layer norm is float32 even in float16 models
        adapter = Adapter(reference.shape[1], bottleneck, scale, dropout)
        adapter.to(reference.device, reference.dtype).train(block.training)
        block.__class__ = type("Adapted" + type(block).__name__, (_AdaptedBlock, type(block)), {})
        block.adapter = adapter


@contextlib.contextmanager
def adapters_switched(model: nn.Module, on: bool) -> Iterator[None]:
    """Within the block, all adapters of a model are on, or all off.

    Raises:
        InputError: adapters are to be on, but the model has none.
    """
    adapters = adapters_of(model)
    if on and not adapters:
        raise InputError("corrected features were asked for, but the model has no adapters; load or train some first")
    before = [adapter.enabled for adapter in adapters]
    for adapter in adapters:
        adapter.enabled = on
    try:
        yield
    finally:
        for adapter, enabled in zip(adapters, before):
            adapter.enabled = enabled
