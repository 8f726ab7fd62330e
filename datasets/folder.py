"""A dataset of one's own, declared in YAML alone."""

from __future__ import annotations

import os

from dassl.data.datasets import DATASET_REGISTRY
from yacs.config import CfgNode

from imo.datasets.base import (
    Item,
    Split,
    SplitDataset,
    class_folders_of_parts,
    part_of,
    refuse_repeated,
    stratified,
    tell_apart,
)
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
        self.dataset_dir = os.path.expanduser(options.PATH)
        self.table: str = options.CSV
        self.templates = (options.TEMPLATE,)
        self.written = {"--output-dir": cfg.OUTPUT_DIR, "IMO.STORE": cfg.get("IMO", {}).get("STORE", "")}
        super().__init__(cfg)

    def titled(self, options: CfgNode) -> str:
        """The name of its YAML file; without one, that of its folder."""
        return options.TITLE or os.path.basename(os.path.abspath(self.dataset_dir)) or super().titled(options)

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
        """The images in class folders, in folders of parts if there are any.

        Raises:
            InputError: see `refuse_written`.
        """
        root = self.located(self.image_dir)
        self.refuse_written(root)
        found = class_folders_of_parts(root)
        return {
            part: [(path, name.strip()) for name, paths in classes.items() for path in paths]
            for part, classes in found.items()
        }

    def refuse_written(self, folder: str) -> None:
        """Raise InputError if a run would write into a folder whose folders are read as classes."""
        folder = os.path.join(os.path.realpath(folder), "")
        for option, place in self.written.items():
            if place and os.path.join(os.path.realpath(place), "").startswith(folder):
                raise InputError(
                    f"{option}: {place} lies in {folder}, whose folders are classes; choose one elsewhere (OUTPUT for "
                    f"scripts)"
                )

    def listed(self) -> Rows:
        """The images that the CSV file lists.

        Raises:
            InputError: an image is there twice, a line without a path or label, an unknown part, or parts for some
                lines only.
        """
        parts: Rows = {}
        rows = self.csv(self.table, ("path", "label"))
        listed = ((line, row["path"]) for line, row in rows.items() if row["path"])
        places = ((f"line {line}", os.path.join(self.image_dir, path)) for line, path in listed)
        refuse_repeated(places, self.reading)
        for row in rows.values():
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
