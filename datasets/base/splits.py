"""Splits: lists of images for training, validation and test, read from a split file or made from a dataset's own files.

A split that is made is shuffled by a generator of its own with a fixed seed, so it is the same in every run, and it is
not written to disk. (CoOp shuffles by the run's seed and saves the outcome under the published split file's name, so
files of one name differ in content.)
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, TypedDict

from PIL import Image

from imo.errors import InputError
from imo.files import read_json


class Item(NamedTuple):
    """An image's path and class; the fields are named as in Dassl's Datum."""

    impath: str
    label: int
    classname: str


class Split(NamedTuple):
    """The images of each part; a dataset for testing only has no training images."""

    train: list[Item]
    val: list[Item]
    test: list[Item]


class _File(TypedDict):
    train: list[tuple[str, int, str | int | float]]
    val: list[tuple[str, int, str | int | float]]
    test: list[tuple[str, int, str | int | float]]


def load_split(path: str) -> Split:
    """Read a split file of CoOp's form: train, val and test, each a list of [path, label, class name].

    Raises:
        InputError: it cannot be read or has another form.
    """
    form = "expected train, val and test, each a list of [path, label, classname]"
    found = read_json(path, _File, "broken split file", form)
    return Split(*([Item(p, label, str(name)) for p, label, name in found[part]] for part in Split._fields))


def checked(split: Split, named_in: str) -> Split:
    """The same split.

    Raises:
        InputError: an image is not on disk, training or test has no images, or labels are not 0..C-1 with training
            images for each. The message names `named_in`, the file that the split was read from.
    """
    for part in split:
        missing = [item.impath for item in part if not os.path.isfile(item.impath)]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InputError(f"{missing[0]}: image named in {named_in} is missing{more}; restore it or fix the split")
    if not split.train or not split.test:
        raise InputError(f"{named_in}: expected training and test images, got {len(split.train)} and {len(split.test)}")
    classes = {item.label for item in split.train}
    strangers = {item.label for part in split for item in part} - set(range(len(classes)))
    if strangers:
        raise InputError(
            f"{named_in}: broken split file; expected labels 0..{len(classes) - 1} for the {len(classes)} classes of "
            f"train, got {min(strangers)}"
        )
    return split


def refuse_repeated(named: Iterable[tuple[str, str]], named_in: str) -> None:
    """Raise InputError if two paths lead to one file: an image could be in the support set and be tested, too.

    Args:
        named: (where, path) of each image; images that are not there are passed over.
        named_in: the file that names them.
    """
    seen: dict[tuple[int, int], tuple[str, str]] = {}
    for where, path in named:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue  # `checked` says so
        first, other = seen.setdefault((status.st_dev, status.st_ino), (where, path))
        if first != where:
            raise InputError(f"{named_in}: {first} ({other}) and {where} ({path}) name one image; keep one of them")


def by_label(items: Iterable[Item]) -> list[list[Item]]:
    """The items of each class in a list of their own, classes in order of their first item."""
    groups: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.label].append(item)
    return list(groups.values())


def hold_out(items: Iterable[Item], share: float = 0.2) -> tuple[list[Item], list[Item]]:
    """Divide items into training and validation: (kept, held out), about `share` of each class held out.

    The default is CoOp's share for datasets that come with a joint training and validation part.
    """
    generator = random.Random(0)
    kept, held = [], []
    for members in by_label(items):
        generator.shuffle(members)
        count = min(max(round(len(members) * share), 1), len(members) - 1)
        held += members[:count]
        kept += members[count:]
    return kept, held


def stratified(items: Iterable[Item], train: float = 0.5, val: float = 0.2) -> Split:
    """Split each class by shares; what `train` and `val` leave is for test. The defaults are CoOp's.

    In a small class, training and test get an image before validation does.
    """
    generator = random.Random(0)
    parts = Split([], [], [])
    for members in by_label(items):
        generator.shuffle(members)
        first = max(1, min(round(len(members) * train), len(members) - 1))
        second = first + max(0, min(round(len(members) * val), len(members) - first - 1))
        for part, chosen in zip(parts, (members[:first], members[first:second], members[second:]), strict=True):
            part += chosen
    return parts


def is_image(name: str) -> bool:
    """Whether a file name has an image's suffix, in small or capital letters, and does not start with a dot."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in Image.registered_extensions()


def class_folders(folder: str) -> dict[str, list[str]]:
    """{class folder: paths of the images anywhere below it}, sorted; class folders without images are left out.

    Paths start from `folder`.
    """
    found = {}
    for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."):
        paths = [
            os.path.relpath(os.path.join(directory, file), folder)
            for directory, _, files in os.walk(os.path.join(folder, name))
            for file in files
            if is_image(file)
        ]
        if paths:
            found[name] = sorted(paths)
    return found
