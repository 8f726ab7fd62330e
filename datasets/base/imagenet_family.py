"""ImageNet and its variants: class folders named by WordNet ids, and names for them in classnames.txt."""

import contextlib
import json
import os

from imo.datasets.base.split_dataset import SplitDataset
from imo.datasets.base.splits import Item, Split, is_image
from imo.errors import InputError
from imo.files import atomic_path
from imo.model.templates import SELECTED

SCAN = "scan.json"


class ImageNetFamily(SplitDataset):
    """Templates are the seven of Tip-Adapter's cache methods, a selection from CLIP's eighty.

    `class_ids` are the numbers of the WordNet ids, by which a cache built on one of the family serves another.
    """

    templates = SELECTED

    def names_by_wnid(self):
        """{WordNet id: name}, in the order of classnames.txt; ImageNet's copy serves where a variant has none."""
        own = os.path.join(self.dataset_dir, "classnames.txt")
        shared = os.path.join(os.path.dirname(self.dataset_dir), "imagenet", "classnames.txt")
        names = {}
        for line in self.lines(shared if not os.path.exists(own) and os.path.exists(shared) else own):
            wnid, _, name = line.partition(" ")
            if not (wnid[:1] == "n" and wnid[1:].isdigit() and name.strip()):
                raise InputError(f"{self.reading}: expected lines '<WordNet id> <name>', got '{line}'")
            names[wnid] = name.strip()
        return names

    def items(self, part="", wnids=None):
        """The items below a folder of class folders, classes by sorted WordNet id.

        wnids: {class folder: WordNet id}, in the order of labels, for class folders of other names.
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
    """A variant is for testing only."""

    def find_split(self):
        return Split([], [], self.items())


def scan(folder, cache):
    """{class folder: sorted image names} of a folder, class folders sorted.

    Kept in the JSON file `cache` with each class folder's time of change and number of images, by which a kept listing
    is known to fit still; class folders that changed are listed anew.
    """
    try:
        with open(cache, encoding="utf-8") as file:
            kept = json.load(file)
    except (OSError, ValueError):
        kept = {}
    if not isinstance(kept, dict):
        kept = {}
    found, changed = {}, False
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        key = os.path.relpath(entry.path, os.path.dirname(cache)).replace(os.sep, "/")
        record, mtime_ns = kept.get(key), entry.stat().st_mtime_ns
        if not (isinstance(record, dict) and record.get("mtime_ns") == mtime_ns and _whole(record)):
            files = sorted(name for name in os.listdir(entry.path) if is_image(name))
            kept[key] = record = {"mtime_ns": mtime_ns, "entries": len(files), "files": files}
            changed = True
        if record["files"]:
            found[entry.name] = record["files"]
    if changed:
        with contextlib.suppress(OSError), atomic_path(cache) as temporary:  # a read-only data folder
            temporary.write_text(json.dumps(kept), encoding="utf-8")
    return found


def _whole(record):
    files = record.get("files")
    return isinstance(files, list) and record.get("entries") == len(files)
