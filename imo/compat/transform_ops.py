"""Transforms that torchvision does not have, as functions."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torchvision.transforms.functional as F


def random_translation(img: Any, height: int, width: int) -> Any:
    """Resize an image to (height, width); half the time, resize to 9/8 of that and crop at a random place."""
    if random.uniform(0, 1) > 0.5:
        return F.resize(img, [height, width])
    full_height, full_width = round(height * 1.125), round(width * 1.125)
    larger = F.resize(img, [full_height, full_width])
    left = round(random.uniform(0, full_width - width))
    top = round(random.uniform(0, full_height - height))
    return F.crop(larger, top, left, height, width)


def instance_normalization(img: torch.Tensor) -> torch.Tensor:
    """Bring each channel of an image tensor (C, H, W) to mean 0 and standard deviation 1."""
    mean = img.mean(dim=(1, 2), keepdim=True)
    std = img.std(dim=(1, 2), keepdim=True)
    return (img - mean) / (std + 1e-8)


def cutout(img: torch.Tensor, n_holes: int, length: int) -> torch.Tensor:
    """Set n_holes squares of `length` pixels, around random points, to zero in an image tensor (C, H, W)."""
    height, width = img.shape[1:]
    half = length // 2
    mask = torch.ones(height, width)
    for _ in range(n_holes):
        y, x = int(np.random.randint(height)), int(np.random.randint(width))
        mask[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = 0.0
    return img * mask


def gaussian_noise(img: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Add normal noise to an image tensor half the time."""
    if random.uniform(0, 1) > 0.5:
        return img
    return img + torch.randn(img.size()) * std + mean
