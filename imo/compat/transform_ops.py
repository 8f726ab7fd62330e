"""Transforms that torchvision does not have."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torchvision.transforms.functional as F
from torchvision.transforms.functional import InterpolationMode


class Random2DTranslation:
    """Resizes an image to (height, width); with probability p, resizes to 9/8 of that and crops at a random place."""

    def __init__(
        self, height: int, width: int, p: float = 0.5, interpolation: InterpolationMode = InterpolationMode.BILINEAR
    ) -> None:
        self.height = height
        self.width = width
        self.p = p
        self.interpolation = interpolation

    def __call__(self, img: Any) -> Any:
        if random.uniform(0, 1) > self.p:
            return F.resize(img, [self.height, self.width], interpolation=self.interpolation)
        height, width = round(self.height * 1.125), round(self.width * 1.125)
        larger = F.resize(img, [height, width], interpolation=self.interpolation)
        left = round(random.uniform(0, width - self.width))
        top = round(random.uniform(0, height - self.height))
        return F.crop(larger, top, left, self.height, self.width)


class InstanceNormalization:
    """Brings each channel of an image tensor (C, H, W) to mean 0 and standard deviation 1."""

    def __init__(self, eps: float = 1e-8) -> None:
        self.eps = eps

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        mean = img.mean(dim=(1, 2), keepdim=True)
        std = img.std(dim=(1, 2), keepdim=True)
        return (img - mean) / (std + self.eps)


class Cutout:
    """Sets n_holes squares of `length` pixels, around random points, to zero in an image tensor (C, H, W)."""

    def __init__(self, n_holes: int = 1, length: int = 16) -> None:
        self.n_holes = n_holes
        self.length = length

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        height, width = img.shape[1:]
        half = self.length // 2
        mask = torch.ones(height, width)
        for _ in range(self.n_holes):
            y, x = int(np.random.randint(height)), int(np.random.randint(width))
            mask[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = 0.0
        return img * mask


class GaussianNoise:
    """Adds normal noise to an image tensor with probability p."""

    def __init__(self, mean: float = 0.0, std: float = 0.15, p: float = 0.5) -> None:
        self.mean = mean
        self.std = std
        self.p = p

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        if random.uniform(0, 1) > self.p:
            return img
        return img + torch.randn(img.size()) * self.std + self.mean
