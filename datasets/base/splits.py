"""Splits: lists of images for training, validation and test, read from a split file or made from a dataset's own files.

A split that is made is shuffled by a generator of its own with a fixed seed, so it is the same in every run, and it is
not written to disk. (CoOp shuffles by the run's seed and saves the outcome under the published split file's name, so
files of one name differ in content.)
"""

from __future__ import annotations

import functools
import os
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from imo.errors import InputError, reading
from imo.files import read_json

PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


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


_Rows = list[tuple[str, int | str, str | int | float]]  # path, label, class name


@functools.cache
def part_of(name: str, exact: bool = True) -> str | None:
    """The part of a split that a name means, in letters of any case; None if it means none, or several.

    Args:
        name: of a folder, of a list, or in a table.
        exact: whether it must be a name of PARTS; else it may hold one as a word, as seg_train and test1 do.
    """
    words = [name.strip().lower()] if exact else re.split("[^a-z]+", name.lower())
    found = {PARTS[word] for word in words if word in PARTS}
    return found.pop() if len(found) == 1 else None


def load_split(path: str) -> Split:
    """Read a split file of CoOp's form: train, val and test, each a list of [path, label, class name].

    Parts may have the names of PARTS, and there may be none for validation. Where labels are not 0..C-1, classes are
    numbered anew in their order.

    Raises:
        InputError: it cannot be read or has another form.
    """
    form = "expected train, val and test, each a list of [path, label, classname]"
    content = read_json(path, dict[str, Any], "broken split file", form)
    parts: dict[str, list[Item]] = {"val": []}
    with reading(f"{path}: broken split file", form):
        for given, rows in content.items():
            if part := part_of(given):
                items = (Item(p, int(label), str(name)) for p, label, name in msgspec.convert(rows, _Rows))
                parts.setdefault(part, []).extend(items)
            else:
                print(f"{path}: {given!r} is left out, for it is no part of a split")
        found = numbered(Split(*(parts[part] for part in Split._fields)))
    tell_apart(class_names(found, path).values(), path)
    return found


def numbered(split: Split) -> Split:
    """The same split, with labels 0..C-1 in the order of those that it has."""
    new = {label: i for i, label in enumerate(sorted({item.label for part in split for item in part}))}
    if all(label == i for label, i in new.items()):
        return split
    return Split(*([item._replace(label=new[item.label]) for item in part] for part in split))


def checked(split: Split, named_in: str) -> Split:
    """The same split; where spellings of a class's name differ in spaces or capitals, the first one everywhere.

    Raises:
        InputError: an image is not on disk, training or test has no images, there is one class, or classes have no
            training images or no name. The message names `named_in`, the file that the split was read from.
    """
    for part in split:
        missing = [item.impath for item in part if not os.path.isfile(item.impath)]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InputError(f"{missing[0]}: image named in {named_in} is missing{more}; restore it or fix the split")
    names = class_names(split, named_in)
    if not split.train or not split.test:
        raise InputError(f"{named_in}: expected training and test images, got {len(split.train)} and {len(split.test)}")
    untrained = names.keys() - {item.label for item in split.train}
    if untrained:
        raise InputError(
            f"{named_in}: no training images of {few(names[label] for label in sorted(untrained))} under its label; "
            f"add some, or drop the class"
        )
    if len(names) < 2:
        raise InputError(f"{named_in}: expected two classes or more, got {few(names.values())} alone")
    if all(item.classname is names[item.label] or item.classname == names[item.label] for p in split for item in p):
        return split
    return Split(*([item._replace(classname=names[item.label]) for item in part] for part in split))


def class_names(split: Split, named_in: str) -> dict[int, str]:
    """{label: class name}, in the name's first spelling.

    Raises:
        InputError: a class has no name or several.
    """
    spelled = dict.fromkeys((item.label, item.classname) for part in split for item in part)
    names: dict[int, str] = {}
    for label, name in spelled:
        if alike(names.setdefault(label, name)) != alike(name):
            raise InputError(f"{named_in}: {few((names[label], name))} have the same label, {label}")
        if not name.strip():
            raise InputError(f"{named_in}: the class of label {label} has no name")
    return names


def tell_apart(names: Iterable[str], named_in: str) -> None:
    """Check the names of classes as people write them. (Classes of the same name there are: ImageNet has two.)

    Raises:
        InputError: two differ only in what CLIP does not see: capitals, spaces and underscores.
    """
    first: dict[str, str] = {}
    for name in names:
        if first.setdefault(alike(name), name) != name:
            raise InputError(
                f"{named_in}: {few((first[alike(name)], name))} are two classes, but CLIP reads the names alike; give "
                f"them one label, or names that differ in more"
            )


def alike(name: str) -> str:
    """A class name as prompts show it to CLIP: without capitals, and with single spaces for spaces and underscores."""
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").casefold().split())


def few(names: Iterable[str]) -> str:
    """Names in quotes, the first few."""
    quoted = [repr(name) for name in names]
    return ", ".join(quoted[:5]) + (f" and {len(quoted) - 5:,} more" if len(quoted) > 5 else "")


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
