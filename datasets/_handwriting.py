"""Handwritten digits that come inside packages, written out as images with a fixed stratified split."""

import json
import os
import unicodedata

import numpy as np
from tqdm import tqdm

from imo.datasets._base import SplitDataset
from imo.datasets._corruptions import image_rng, paint, random_colours
from imo.datasets._pictures import save_png, whole_folder
from imo.errors import InputError

CLASSNAMES = tuple(unicodedata.name(digit).lower() for digit in "0123456789")  # "digit zero", ...
SHARES = {"train": 0.3, "val": 0.2, "test": 0.5}  # of each class


class Handwriting(SplitDataset):
    """Handwritten digits; a dataset gives `load()` and, to be coloured, `coloured = True`."""

    templates = ("a handwritten {}.",)
    split_file = "split.json"
    coloured = False

    def load(self):
        """(N, H, W) float ink in 0..1, (N,) labels."""
        raise NotImplementedError

    def prepare(self):
        """Write the images and the split, once."""
        if os.path.isdir(self.dataset_dir):
            return
        try:
            ink, labels = self.load()
        except ImportError as error:
            raise InputError(
                f"{self.dataset_dir}: cannot be made without the package {error.name}; pip install 'clip-imo[demo]'"
            ) from error
        parts = stratified_split(labels)
        with whole_folder(self.dataset_dir) as temporary:
            split = {part: [] for part in SHARES}
            for i in tqdm(range(len(labels)), desc=f"Writing {type(self).__name__}"):
                label = int(labels[i])
                name = f"{label}/{i:05d}.png"
                pixels = ink[i] * 255
                if self.coloured:
                    pixels = paint(ink[i][:, :, None], *random_colours(image_rng(type(self).__name__, i)))
                save_png(np.uint8(np.round(pixels)), os.path.join(temporary, "images", name))
                split[parts[i]].append([name, label, CLASSNAMES[label]])
            with open(os.path.join(temporary, self.split_file), "w", encoding="utf-8") as file:
                json.dump(split, file, indent=0)


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
