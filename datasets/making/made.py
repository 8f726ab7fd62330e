"""Datasets that are made on first use, from what comes inside packages."""

import json
import os

from imo.datasets.base.split_dataset import SplitDataset
from imo.datasets.making.pictures import save_png, whole_folder
from imo.errors import InputError


class MadeDataset(SplitDataset):
    """A dataset whose images and split are written once, whole or not at all; it gives `pictures()`."""

    split_file = "split.json"

    def pictures(self):
        """Yields (part of the split, path, uint8 array, label, class name) for each image."""
        raise NotImplementedError

    def prepare(self):
        """Write the images and the split, once."""
        if os.path.isdir(self.dataset_dir):
            return
        with whole_folder(self.dataset_dir) as temporary:
            split = {"train": [], "val": [], "test": []}
            try:
                for part, name, array, label, classname in self.pictures():
                    save_png(array, os.path.join(temporary, "images", name))
                    split[part].append([name, label, classname])
            except ImportError as error:
                raise InputError(
                    f"{self.dataset_dir}: cannot be made without the package {error.name}; in the checkout: "
                    f"pip install -e '.[demo]'"
                ) from error
            with open(os.path.join(temporary, self.split_file), "w", encoding="utf-8") as file:
                json.dump(split, file, indent=0)
