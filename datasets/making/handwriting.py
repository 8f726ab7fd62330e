"""The class for datasets of handwritten digits that come inside Python packages."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from imo.datasets.base.corruptions import image_rng, paint, random_colours
from imo.datasets.making.made import MadeDataset, Picture

CLASSNAMES = tuple(unicodedata.name(digit).lower() for digit in "0123456789")  # "digit zero", ...
SHARES = {"train": 0.3, "val": 0.2, "test": 0.5}  # of each class


class Handwriting(MadeDataset):
    """Handwritten digits, which a dataset gives as `load`. With `coloured`, each image gets random colours."""

    templates = ("a handwritten {}.",)
    coloured = False

    def load(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """(N, H, W) float amounts of ink in 0..1, and (N,) labels 0..9."""
        raise NotImplementedError

    def pictures(self) -> Iterator[Picture]:
        """Each digit, grey or coloured."""
        ink, labels = self.load()
        parts = stratified_split(labels)
        for i in tqdm(range(len(labels)), desc=f"Writing {type(self).__name__}"):
            label = int(labels[i])
            pixels = ink[i] * 255
            if self.coloured:
                pixels = paint(ink[i][:, :, None], *random_colours(image_rng(type(self).__name__, i)))
            yield parts[i], f"{label}/{i:05d}.png", np.round(pixels).astype(np.uint8), label, CLASSNAMES[label]


def stratified_split(labels: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    """(N,) labels -> (N,) words "train", "val" or "test": each class, shuffled in a fixed way, divided by SHARES."""
    rng = np.random.default_rng(0)
    parts = np.empty(len(labels), dtype=object)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        ends = np.round(np.cumsum(list(SHARES.values())) * len(members)).astype(int)
        for part, start, end in zip(SHARES, [0, *ends[:-1]], ends, strict=True):
            parts[members[start:end]] = part
    return parts
