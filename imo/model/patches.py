"""Features of an image's patches, in the space that CLIP shares with text."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


@torch.no_grad()
def encode_patches(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of images and of their P patches. A patch's feature comes from its own output of the image encoder, by
    the last layers that CLIP applies to the class token (ViT) or to the mean over positions (ResNet).

    Args:
        model: CLIP. Adapters, if it has any, stay on or off as they are.
        images: (B, 3, H, W), preprocessed.

    Returns:
        (B, d) features of the images and (B, P, d) of the patches, float32, not normalised.
    """
    visual: Any = model.visual
    seen: list[torch.Tensor] = []
    transformer = hasattr(visual, "transformer")
    layer = visual.transformer if transformer else visual.layer4
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        features = visual(images.to(visual.conv1.weight.device, visual.conv1.weight.dtype))
    finally:
        handle.remove()
    if transformer:
        tokens = visual.ln_post(seen[0].permute(1, 0, 2)) @ visual.proj  # from (1 + P, B, v)
    else:
        tokens = _pooled_everywhere(visual.attnpool, seen[0])
    return features.float(), tokens[:, 1:].float()


def _pooled_everywhere(pool: Any, grid: torch.Tensor) -> torch.Tensor:
    """A ResNet's attention pool, with every position as a query; CLIP's own has the mean as its only query.

    (B, v, h, w) -> (B, 1 + h w, d), the mean's first.
    """
    rows = grid.flatten(2).permute(2, 0, 1)
    rows = torch.cat([rows.mean(0, keepdim=True), rows]) + pool.positional_embedding[:, None].to(grid.dtype)
    pooled, _ = F.multi_head_attention_forward(
        rows, rows, rows, rows.shape[-1], pool.num_heads, None,
        torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]), None, None, False, 0.0,
        pool.c_proj.weight, pool.c_proj.bias, training=False, need_weights=False, use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight, k_proj_weight=pool.k_proj.weight, v_proj_weight=pool.v_proj.weight,
    )  # fmt: skip
    return pooled.permute(1, 0, 2)
