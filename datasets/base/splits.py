"""Splits: lists of images for training, validation and test, read from a split file or computed from a dataset's own.

A computed split is drawn from a generator of its own with a fixed seed, and is not written down. (CoOp draws it from
the run's seed and saves it under the name of the published split: one name, different contents.)
"""

import json
import os
import random
from collections import defaultdict
from typing import NamedTuple

from PIL import Image

from imo.errors import InputError


class Item(NamedTuple):
    """An image with its class, by Datum's names."""

    impath: str
    label: int
    classname: str


class Split(NamedTuple):
    """Items of each part; a set for testing only has no training items."""

    train: list
    val: list
    test: list


def load_split(path):
    """The split in a file of CoOp's form: train, val and test, each a list of [path, label, classname]."""
    try:
        with open(path, encoding="utf-8") as file:
            split = json.load(file)
        return Split(
            *([Item(str(p), int(label), str(name)) for p, label, name in split[part]] for part in Split._fields)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: broken split file ({type(error).__name__}: {error}); expected train, val and test, "
            f"each a list of [path, label, classname]"
        ) from error


def checked(split, named_in):
    """The split, if every image is there, training and test are not empty, and training has all labels 0..C-1."""
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


def by_label(items):
    """Lists of the items of each label, labels in order of appearance."""
    groups = defaultdict(list)
    for item in items:
        groups[item.label].append(item)
    return groups.values()


def hold_out(items, share=0.2):
    """Two lists: what stays, and about `share` of each class; CoOp's proportion for datasets with trainval and test."""
    generator = random.Random(0)
    kept, held = [], []
    for members in by_label(items):
        generator.shuffle(members)
        count = min(max(round(len(members) * share), 1), len(members) - 1)
        held += members[:count]
        kept += members[count:]
    return kept, held


def stratified(items, train=0.5, val=0.2):
    """A split by shares of each class (CoOp's by default); training and test get an image before validation does."""
    generator = random.Random(0)
    parts = Split([], [], [])
    for members in by_label(items):
        generator.shuffle(members)
        first = max(1, min(round(len(members) * train), len(members) - 1))
        second = first + max(0, min(round(len(members) * val), len(members) - first - 1))
        for part, chosen in zip(parts, (members[:first], members[first:second], members[second:])):
            part += chosen
    return parts


def is_image(name):
    """Whether a file's name is that of an image, upper-case suffixes included; hidden files are not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in Image.registered_extensions()


def class_folders(folder):
    """{class folder: sorted image paths below it, relative to `folder`}, sorted; folders without images left out."""
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


def folder_split(dataset):
    """A fallback: stratified over the class folders of the images, without `ignored` and with `renamed` applied."""
    found = class_folders(dataset.located(dataset.image_dir))
    names = [name for name in found if name not in dataset.ignored]
    return stratified(
        [Item(path, label, dataset.renamed.get(name, name)) for label, name in enumerate(names) for path in found[name]]
    )
