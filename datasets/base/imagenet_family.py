"""ImageNet and its variants: class folders named by WordNet ids, with class names in classnames.txt."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from imo.datasets.base.split_dataset import SplitDataset
from imo.datasets.base.splits import Item, Split
from imo.errors import InputError
from imo.files import atomic_path, read_json
from imo.images import is_image
from imo.model.templates import SELECTED

SCAN = "scan.json"  # in the dataset's folder; see `scan`


class ImageNetFamily(SplitDataset):
    """Prompts are the seven templates that Tip-Adapter selected from CLIP's eighty.

    `class_ids` holds the number in each class's WordNet id. By it, a cache built on one dataset of the family is tested
    on another.
    """

    templates = SELECTED
    class_ids: list[int]  # set by `items`

    def names_by_wnid(self) -> dict[str, str]:
        """{WordNet id: class name}, in the order of classnames.txt; a variant without one uses ImageNet's."""
        own = os.path.join(self.dataset_dir, "classnames.txt")
        shared = os.path.join(os.path.dirname(self.dataset_dir), "imagenet", "classnames.txt")
        names = {}
        for line in self.lines(shared if not os.path.exists(own) and os.path.exists(shared) else own):
            wnid, _, name = line.partition(" ")
            if not (wnid[:1] == "n" and wnid[1:].isdigit() and name.strip()):
                raise InputError(f"{self.reading}: expected lines '<WordNet id> <name>', got '{line}'")
            names[wnid] = name.strip()
        return names

    def items(self, part: str = "", wnids: Mapping[str, str] | None = None) -> list[Item]:
        """The images of a folder that holds one folder for each class; sets `class_ids`.

        Args:
            part: the folder, below the image folder.
            wnids: {class folder: WordNet id} in the order of labels. Default: folders are named by their WordNet ids,
                and labels follow the sorted ids.

        Raises:
            InputError: no images, or a class folder that classnames.txt does not know.
        """
        folder = self.located(os.path.join(self.image_dir, part) if part else self.image_dir)
        found = scan(folder, os.path.join(self.dataset_dir, SCAN))
        if not found:
            raise InputError(f"{folder}: no class folders with images; {self.where(folder)}")
        names = self.names_by_wnid()
        wnids = wnids or {name: name for name in found}
        strangers = [name for name in found if wnids.get(name) not in names]
        if strangers:
            raise InputError(
                f"{os.path.join(folder, strangers[0])}: not a class of {self.reading}; remove it or add its line"
            )
        classes = [(name, wnid) for name, wnid in wnids.items() if name in found]
        self.class_ids = [int(wnid[1:]) for _, wnid in classes]
        return [
            Item(os.path.join(folder, name, file), label, names[wnid])
            for label, (name, wnid) in enumerate(classes)
            for file in found[name]
        ]


class ImageNetVariant(ImageNetFamily):
    """A variant of ImageNet: test images only."""

    def find_split(self) -> Split:
        """All images are test images."""
        return Split([], [], self.items())


def scan(folder: str, cache: str) -> dict[str, list[str]]:
    """{class folder: image names} of a folder, both sorted; class folders without images are left out.

    Listing ImageNet's million files is slow on a network disk. So each class folder's listing is kept in the JSON file
    `cache`, together with the folder's time of change; a class folder that changed since is listed anew.
    """
    kept: dict[str, Any] = {}
    with contextlib.suppress(InputError):  # missing or broken: listed anew
        kept = read_json(cache, dict[str, Any], "broken", "")
    found, changed = {}, False
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        key = os.path.relpath(entry.path, os.path.dirname(cache)).replace(os.sep, "/")
        record, mtime_ns = kept.get(key), entry.stat().st_mtime_ns
        if not (isinstance(record, dict) and record.get("mtime_ns") == mtime_ns and _whole(record)):
            shown = (name for name in os.listdir(entry.path) if name[0] != ".")
            files = sorted(name for name in shown if is_image(os.path.join(entry.path, name)))
            kept[key] = record = {"mtime_ns": mtime_ns, "entries": len(files), "files": files}
            changed = True
        if record["files"]:
            found[entry.name] = record["files"]
    if changed:
        with contextlib.suppress(OSError), atomic_path(cache) as temporary:  # a read-only data folder
            temporary.write_text(json.dumps(kept), encoding="utf-8")
    return found


def _whole(record: dict[str, Any]) -> bool:
    """Whether a class folder's record lists as many files as it says, all of them in this folder."""
    files = record.get("files")
    return (
        isinstance(files, list)
        and record.get("entries") == len(files)
        and all(isinstance(name, str) and os.sep not in name for name in files)
    )
