"""Handwritten digits that come inside packages, written out as images with a fixed stratified split."""

import unicodedata

import numpy as np
from tqdm import tqdm

from imo.datasets.making.corruptions import image_rng, paint, random_colours
from imo.datasets.making.made import MadeDataset

CLASSNAMES = tuple(unicodedata.name(digit).lower() for digit in "0123456789")  # "digit zero", ...
SHARES = {"train": 0.3, "val": 0.2, "test": 0.5}  # of each class


class Handwriting(MadeDataset):
    """Handwritten digits; a dataset gives `load()` and, to be coloured, `coloured = True`."""

    templates = ("a handwritten {}.",)
    coloured = False

    def load(self):
        """(N, H, W) float ink in 0..1, (N,) labels."""
        raise NotImplementedError

    def pictures(self):
        ink, labels = self.load()
        parts = stratified_split(labels)
        for i in tqdm(range(len(labels)), desc=f"Writing {type(self).__name__}"):
            label = int(labels[i])
            pixels = ink[i] * 255
            if self.coloured:
                pixels = paint(ink[i][:, :, None], *random_colours(image_rng(type(self).__name__, i)))
            yield parts[i], f"{label}/{i:05d}.png", np.uint8(np.round(pixels)), label, CLASSNAMES[label]


def stratified_split(labels):
    """A part name for each image; within a class the shares of SHARES, by a fixed shuffle."""
    rng = np.random.default_rng(0)
    parts = np.empty(len(labels), dtype=object)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        ends = np.round(np.cumsum(list(SHARES.values())) * len(members)).astype(int)
        for part, start, end in zip(SHARES, [0, *ends[:-1]], ends):
            parts[members[start:end]] = part
    return parts
