"""A dataset of one's own, declared in YAML alone."""

from __future__ import annotations

import os

from dassl.data.datasets import DATASET_REGISTRY
from yacs.config import CfgNode

from imo.datasets.base import Item, Split, SplitDataset, class_folders, refuse_repeated, stratified
from imo.datasets.base.saved import FOLDER
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
    ignored = (FOLDER,)  # ours, beside the classes
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
        """The images in class folders, below folders of parts if there are train/ and test/.

        Raises:
            InputError: see `refuse_written`.
        """
        root = self.located(".")
        given = [name for name in PARTS if os.path.isdir(os.path.join(root, name))]
        parts = given if "train" in given and "test" in given else [""]
        for part in parts:
            self.refuse_written(os.path.join(root, part))
        return {
            part: [
                (os.path.join(part, path), name)
                for name, paths in class_folders(os.path.join(root, part)).items()
                if name not in self.ignored
                for path in paths
            ]
            for part in parts
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
            InputError: an image is there twice, an unknown part, or parts for some lines only.
        """
        parts: Rows = {}
        rows = self.csv(self.table, ("path", "label"))
        places = ((f"line {line}", os.path.join(self.image_dir, row["path"])) for line, row in rows.items())
        refuse_repeated(places, self.reading)
        for row in rows.values():
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
