"""A dataset of one's own, declared in YAML alone."""

from __future__ import annotations

import os

from dassl.data.datasets import DATASET_REGISTRY
from yacs.config import CfgNode

from imo.datasets.base import Item, Split, SplitDataset, class_folders, stratified
from imo.errors import InputError
from imo.rules import TEXT, check

PARTS = {"train": "train", "val": "val", "validation": "val", "test": "test"}  # {name in the data: part of the split}
Rows = dict[str, list[tuple[str, str]]]  # {part's name, "" where the data have no parts: [(image path, class name)]}


def extend_cfg(cfg: CfgNode) -> None:
    """Add the dataset's own options."""
    cfg.DATASET.FOLDER = CfgNode()
    cfg.DATASET.FOLDER.PATH = ""  # the folder, from the data root or absolute
    cfg.DATASET.FOLDER.CSV = ""  # in it, a file of path,label[,split] with this first line; empty for class folders
    cfg.DATASET.FOLDER.TEMPLATE = "a photo of a {}."


@DATASET_REGISTRY.register()
class Folder(SplitDataset):
    """Images in class-named folders (<class>/, or train/<class>/, val/<class>/ and test/<class>/), or in a CSV file.

    Classes are sorted by name. Without given parts, half of each class is for training, a fifth for validation and the
    rest for testing, by a fixed shuffle; where only validation is missing, training images are held out. A CSV file may
    name images anywhere.
    """

    image_dir = "."
    confined = False  # the table is the user's own
    holds_out = True

    def __init__(self, cfg: CfgNode) -> None:
        options = cfg.DATASET.FOLDER
        check(cfg, {f"DATASET.FOLDER.{name}": TEXT for name in ("PATH", "CSV", "TEMPLATE")})
        if not options.PATH:
            raise InputError(
                "DATASET.FOLDER.PATH: expected a folder of images, from the data root or absolute, got none"
            )
        self.dataset_dir = os.path.normpath(os.path.expanduser(options.PATH))
        self.table: str = options.CSV
        self.templates = (options.TEMPLATE,)
        super().__init__(cfg)
        self.target_name = self.target_name.replace("Folder", os.path.basename(self.dataset_dir), 1)

    def fallback(self) -> Split:
        """The split of the CSV file, or of the folders."""
        parts = self.listed() if self.table else self.folders()
        names = sorted({name for part in parts.values() for _, name in part})
        if not names:
            raise InputError(f"{self.dataset_dir}: no images in class folders; see DATASET.FOLDER in DATASETS.md")
        split = Split([], [], [])
        for part, rows in parts.items():
            getattr(split, PARTS.get(part, "train")).extend(Item(path, names.index(name), name) for path, name in rows)
        return stratified(split.train) if set(parts) == {""} else split

    def folders(self) -> Rows:
        """The images in class folders, below folders of parts if there are train/ and test/."""
        root = self.located(".")
        given = [name for name in PARTS if os.path.isdir(os.path.join(root, name))]
        return {
            part: [
                (os.path.join(part, path), name)
                for name, paths in class_folders(os.path.join(root, part)).items()
                for path in paths
            ]
            for part in (given if "train" in given and "test" in given else [""])
        }

    def listed(self) -> Rows:
        """The images that the CSV file lists.

        Raises:
            InputError: an unknown part, or parts for some lines only.
        """
        parts: Rows = {}
        for row in self.csv(self.table, ("path", "label")):
            part = (row.get("split") or "").strip()
            if part and part not in PARTS:
                raise InputError(
                    f"{self.reading}: expected a split of {', '.join(PARTS)}, or none at all, got '{part}'"
                )
            parts.setdefault(part, []).append((row["path"], row["label"]))
        if "" in parts and len(parts) > 1:
            raise InputError(
                f"{self.reading}: {len(parts['']):,} lines have no split and others do; fill or drop the column"
            )
        return parts
