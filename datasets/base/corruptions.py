"""Corrupted copies of test images, to test robustness with a cache built on clean ones.

Names and the five severities follow the corruption literature: ImageNet-C (Hendrycks & Dietterich, ICLR 2019,
https://arxiv.org/abs/1903.12261; gaussian_noise has its standard deviations) and MNIST-C (Mu & Gilmer, 2019,
https://arxiv.org/abs/1906.02337). Lengths are shares of the image's side. Randomness depends on the image's path, the
corruption and the severity alone, so every run gets the same picture.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from tqdm import tqdm

from imo.datasets.base.splits import Item
from imo.files import atomic_path
from imo.images import open_image
from imo.store import identity, view_identity

_SMALLEST = 28  # pixels; smaller images are enlarged to it first, since noise on 8 x 8 pixels hides everything
Pixels = npt.NDArray[Any]


def _gaussian_noise(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, np.float32) / 255
    noisy = pixels + rng.normal(0, (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1], pixels.shape)
    return Image.fromarray(np.uint8(np.clip(noisy, 0, 1) * 255))


def _gaussian_blur(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur((0.02, 0.035, 0.05, 0.07, 0.09)[severity - 1] * image.width))


def _inverse(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    share = (0.6, 0.7, 0.8, 0.9, 1.0)[severity - 1]
    pixels = np.asarray(image, np.float32)
    return Image.fromarray(np.uint8((1 - share) * pixels + share * (255 - pixels)))


def _affine(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    angle, shear, shift = (
        np.array([(8, 0.08, 0.03), (14, 0.14, 0.05), (20, 0.2, 0.07), (27, 0.27, 0.09), (35, 0.35, 0.11)])[severity - 1]
        * rng.uniform(0.5, 1, 3)
        * rng.choice([-1, 1], 3)
    )
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    matrix = np.array([[cos, sin + shear * cos], [-sin, cos - shear * sin]])
    centre = np.array([image.width, image.height]) / 2
    offset = centre - matrix @ centre + shift * image.width
    edge = tuple(int(v) for v in np.median(_border(image), axis=0))
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=edge)


def _occlusion(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    side = max(1, round((0.2, 0.27, 0.34, 0.41, 0.48)[severity - 1] * min(image.size)))
    pixels = np.array(image)
    top, left = (int(rng.integers(0, size - side + 1)) for size in pixels.shape[:2])
    pixels[top : top + side, left : left + side] = 128
    return Image.fromarray(pixels)


def _colour(image: Image.Image, severity: int, rng: np.random.Generator) -> Image.Image:
    share = (0.2, 0.4, 0.6, 0.8, 1.0)[severity - 1]
    pixels = np.asarray(image, np.float32)
    amount = pixels.mean(2, keepdims=True) / 255
    painted = paint(amount, *random_colours(rng))
    return Image.fromarray(np.uint8((1 - share) * pixels + share * painted))


CORRUPTIONS: dict[str, Callable[[Image.Image, int, np.random.Generator], Image.Image]] = {
    "gaussian_noise": _gaussian_noise,
    "gaussian_blur": _gaussian_blur,
    "inverse": _inverse,
    "affine": _affine,
    "occlusion": _occlusion,
    "colour": _colour,
}  # each turns (RGB image, severity 1..5, generator) into an RGB image of the same size


def random_colours(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Two random colours (ink, paper), each (3,) RGB in 0..255, at least 127.5 apart in Euclidean distance."""
    while True:
        ink, paper = rng.uniform(0, 255, (2, 3))
        if np.linalg.norm(ink - paper) > 127.5:
            return ink, paper


def paint(amount: Pixels, ink: Pixels, paper: Pixels) -> Pixels:
    """Colour a picture: (H, W, 1) amount of ink in 0..1 -> (H, W, 3) float RGB in 0..255."""
    painted: Pixels = amount * ink + (1 - amount) * paper
    return painted


def image_rng(*key: object) -> np.random.Generator:
    """A generator seeded by `key`: equal keys give equal random numbers."""
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big"))


def _border(image: Image.Image) -> Pixels:
    """(P, 3) colours of the pixels along the image's edges."""
    pixels = np.asarray(image)
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def corrupted_copy(
    items: Sequence[Item], image_dir: str, folder: str, corruption: str, upright: bool = False
) -> list[Item]:
    """The items with corrupted images, which are written below a folder unless they are there.

    Args:
        items: test images.
        image_dir: the folder that their paths start from in what a corruption is seeded by.
        folder: copies are its <corruption>/<hash>.png, by the path, size and time of change of the image.
        corruption: <name>-<severity>, a name of CORRUPTIONS and 1..5.
        upright: as for `open_image`; copies that were turned lie in <corruption>-upright.
    """
    name, _, severity = corruption.rpartition("-")
    folder = os.path.join(folder, f"{corruption}-upright" if upright else corruption)
    places = [os.path.relpath(item.impath, image_dir) for item in items]
    names = [view_identity(identity(item.impath), place).hex() for item, place in zip(items, places, strict=True)]
    copies = [os.path.join(folder, f"{name}.png") for name in names]
    todo = [i for i, copy in enumerate(copies) if not os.path.isfile(copy)]
    for i in tqdm(todo, desc=f"Writing {corruption}", disable=not todo):
        image = open_image(items[i].impath, upright)
        if min(image.size) < _SMALLEST:
            ratio = _SMALLEST / min(image.size)
            image = image.resize((round(image.width * ratio), round(image.height * ratio)), Image.Resampling.BICUBIC)
        corrupted = CORRUPTIONS[name](image, int(severity), image_rng(places[i], name, severity))
        with atomic_path(copies[i]) as temporary:
            corrupted.save(temporary, format="PNG")
    return [item._replace(impath=copy) for item, copy in zip(items, copies, strict=True)]
