"""The class for datasets that are written to disk on first use, from data that come inside Python packages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
from PIL import Image

from imo.datasets.base import SplitDataset
from imo.errors import InputError
from imo.files import atomic_path, drop_leftovers, refuse_links

Picture = tuple[str, str, npt.NDArray[Any], int, str]  # part of the split, path, uint8 pixels, label, class name


class MadeDataset(SplitDataset):
    """A dataset that gives its images as `pictures`; they and the split file are written once, all or nothing."""

    split_file = "split.json"

    def pictures(self) -> Iterator[Picture]:
        """Yield each image: (part of the split, path in the image folder, uint8 pixels, label, class name)."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Write the images and the split file, unless the dataset's folder is there and not empty.

        Raises:
            InputError: a package that holds the data, or draws them, is missing; or the dataset's folder is a link that
                leads nowhere, or to an empty folder.
        """
        drop_leftovers(os.path.dirname(self.dataset_dir))
        if os.path.isdir(self.dataset_dir) and os.listdir(self.dataset_dir):
            return
        refuse_links(self.dataset_dir, os.path.dirname(self.dataset_dir))
        with atomic_path(self.dataset_dir, folder=True) as temporary:
            split: dict[str, list[list[str | int]]] = {"train": [], "val": [], "test": []}
            try:
                for part, name, array, label, classname in self.pictures():
                    path = os.path.join(temporary, "images", name)
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    Image.fromarray(array).save(path)
                    split[part].append([name, label, classname])
            except ImportError as error:
                raise InputError(
                    f"{self.dataset_dir}: cannot be made without the package {error.name}; in the checkout: "
                    f"pip install -e '.[demo]'"
                ) from error
            with open(os.path.join(temporary, self.split_file), "w", encoding="utf-8") as file:
                json.dump(split, file, indent=0)
