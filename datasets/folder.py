"""A dataset of one's own, declared in YAML alone."""

from __future__ import annotations

import os

from dassl.data.datasets import DATASET_REGISTRY
from yacs.config import CfgNode

from imo.datasets.base import Item, Split, SplitDataset, class_folders_of_parts, part_of, stratified, tell_apart
from imo.errors import InputError
from imo.rules import TEXT, check

Rows = dict[str, list[tuple[str, str]]]  # {part, "" where the data have no parts: [(image path, class name)]}


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
    rest for testing, by a fixed shuffle. Parts may also be called training, valid, validation and testing, in letters
    of any case, or have such a word in a folder's name (seg_train). Without a part for validation, training images are
    held out; without one for testing, validation images are tested on. A folder around all others is passed through.
    Links are followed. A file without an image's suffix is an image if its content is; hidden files are left out, and
    the log says how many were and why. A CSV file may name images anywhere.
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

    def mirrored(self, path: str) -> str:
        """The same path: one's own images are where one says."""
        return path

    def fallback(self) -> Split:
        """The split of the CSV file, or of the folders."""
        parts = self.listed() if self.table else self.folders()
        names = sorted({name for rows in parts.values() for _, name in rows})
        if not names:
            raise InputError(f"{self.dataset_dir}: no images in class folders; see DATASET.FOLDER in DATASETS.md")
        tell_apart(names, self.reading or self.dataset_dir)
        if "val" in parts and "test" not in parts:
            print("No part for testing: validation images are tested on, and training images held out for validation")
            parts["test"] = parts.pop("val")
        labels = {name: label for label, name in enumerate(names)}
        split = Split([], [], [])
        for part, rows in parts.items():
            getattr(split, part or "train").extend(Item(path, labels[name], name) for path, name in rows)
        return stratified(split.train) if set(parts) == {""} else split

    def folders(self) -> Rows:
        """The images in class folders, in folders of parts if there are any."""
        found = class_folders_of_parts(self.located(self.image_dir))
        return {
            part: [(path, name.strip()) for name, paths in classes.items() for path in paths]
            for part, classes in found.items()
        }

    def listed(self) -> Rows:
        """The images that the CSV file lists.

        Raises:
            InputError: a line without a path or label, an unknown part, or parts for some lines only.
        """
        parts: Rows = {}
        for row in self.csv(self.table, ("path", "label")):
            path, label, given = row["path"], (row["label"] or "").strip(), (row.get("split") or "").strip()
            if not path or not label:
                raise InputError(f"{self.reading}: no {'label' if path else 'path'} in the line of {path or label!r}")
            part = part_of(given)
            if given and not part:
                raise InputError(
                    f"{self.reading}: expected a split of train, val or test, or none at all, got '{given}'"
                )
            parts.setdefault(part or "", []).append((path, label))
        if "" in parts and len(parts) > 1:
            raise InputError(
                f"{self.reading}: {len(parts['']):,} lines have no split and others do; fill or drop the column"
            )
        return parts
