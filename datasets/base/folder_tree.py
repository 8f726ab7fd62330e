"""Images in folders: the folders of classes, those of a split's parts around them, and what is left out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from imo.datasets.base.saved import FOLDER as SUBSETS
from imo.datasets.base.splits import Split, part_of
from imo.errors import InputError
from imo.images import is_image

BESIDE = "images outside class folders"


class Place(NamedTuple):
    """A folder that has images in it or below it: its path from the folder that is read, with a separator at its end
    (or empty), paths of the images in it, and its folders by name, sorted."""

    path: str
    images: list[str]
    folders: dict[str, Place]

    def below(self) -> Iterator[str]:
        """Paths of all images, from the folder that is read."""
        yield from self.images
        for place in self.folders.values():
            yield from place.below()

    def classes(self) -> dict[str, list[str]]:
        """{class folder: sorted paths of the images anywhere below it}."""
        return {name: sorted(place.below()) for name, place in self.folders.items()}


LeftOut = dict[str, list[str]]  # {what: paths}


def class_folders(folder: str) -> dict[str, list[str]]:
    """{class folder: paths of the images anywhere below it}, sorted; class folders without images are left out.

    Paths start from `folder`. A line says what was left out, if anything was.
    """
    left_out: LeftOut = defaultdict(list)
    place = read_folder(folder, left_out)
    left_out[BESIDE] = place.images
    _tell(folder, left_out)
    return place.classes()


def class_folders_of_parts(folder: str) -> dict[str, dict[str, list[str]]]:
    """{"train", "val" and "test", or "" where the data have no parts: class folders, as of `class_folders`}.

    A folder that stands alone and holds nothing but folders is passed through. Folders are parts if their names say so
    (see `part_of`) and one of them is for training. Lines say what was passed through and what was left out.

    Raises:
        InputError: folders are named as parts and do not make a split, or have no class folders.
    """
    left_out: LeftOut = defaultdict(list)
    place = _unwrapped(folder, read_folder(folder, left_out), left_out)
    given = _parts(folder, place)
    parts = {part: place.folders[name] for part, name in given.items()}
    if parts and _wrapped(parts["train"]):
        parts = {part: _unwrapped(folder, inner, left_out) for part, inner in parts.items()}
    for inner in parts.values():
        if not inner.folders:
            raise InputError(
                f"{os.path.join(folder, inner.path)}: {len(inner.images):,} images, but no class folders; put the "
                f"images of each class into a folder, or list all images in a CSV file"
            )
        left_out[BESIDE] += inner.images
    left_out[BESIDE] += place.images
    if parts:
        others = [other for name, other in place.folders.items() if name not in given.values()]
        left_out[f"images beside {', '.join(given.values())}"] = [path for other in others for path in other.below()]
    _tell(folder, left_out)
    return {part: inner.classes() for part, inner in (parts or {"": place}).items()}


def _parts(folder: str, place: Place) -> dict[str, str]:
    """{part: name of its folder}; nothing if the folders are those of classes.

    Raises:
        InputError: some are parts by their names, but make no split; or parts lie in the folders of classes.
    """
    where, found = os.path.join(folder, place.path), _listed(place.folders)
    nested = [name for name, inner in place.folders.items() if not inner.images]
    exact = {name: part for name in place.folders if (part := part_of(name))}
    alike = {name: part for name in nested if (part := part_of(name, exact=False))}
    for given in (exact, alike):
        if "train" in given.values() and len({*given.values()}) > 1:
            if len({*given.values()}) < len(given):
                raise InputError(f"{where}: of {found} two mean the same part of the split; keep one")
            return {part: name for part in Split._fields for name in given if given[name] == part}
    if exact and (len(exact) == len(place.folders) or not exact.keys().isdisjoint(nested)):
        raise InputError(
            f"{where}: found {found}, which would be read as classes; expected train/ and test/ (or val/) with class "
            f"folders in them, or class folders alone"
        )  # of folders with images in them, one may well be a class "train" among other vehicles
    inner = dict.fromkeys(name for other in place.folders.values() for name in other.folders)
    if inner and all(map(part_of, inner)) and len(nested) == len(place.folders):
        raise InputError(
            f"{where}: found {_listed(inner)} in the class folders {found}; put class folders into train/ and test/, "
            f"or list the images in a CSV file"
        )
    return {}


def _listed(names: Iterable[str]) -> str:
    """Names of folders, the first few."""
    first = [f"{name}/" for name in names]
    return ", ".join(first[:5]) + (f" and {len(first) - 5:,} more" if len(first) > 5 else "")


def _wrapped(place: Place) -> bool:
    """Whether a folder holds one folder with images, which holds nothing but folders."""
    return len(place.folders) == 1 and not next(iter(place.folders.values())).images


def _unwrapped(folder: str, place: Place, left_out: LeftOut) -> Place:
    """The first folder, from `place` inwards, that is not `_wrapped`."""
    while _wrapped(place):
        left_out[BESIDE] += place.images
        print(f"{os.path.join(folder, place.path)}: reading {_listed(place.folders)}, the only folder with images")
        (place,) = place.folders.values()
    return place


def read_folder(folder: str, left_out: LeftOut) -> Place:
    """The images in a folder and its folders. Links are followed, but for one that leads back to a folder around it.

    Args:
        folder: its path.
        left_out: gets the files that are hidden or no images, and what else is left out.
    """

    def read(path: str, around: tuple[str, ...]) -> Place:
        place = Place(path, [], {})
        for entry in sorted(os.scandir(os.path.join(folder, path)), key=lambda entry: entry.name):
            inner = os.path.join(path, entry.name)
            if entry.name[0] == ".":
                left_out["hidden files"] += _files(inner, entry)
            elif not entry.is_dir():
                (place.images if is_image(entry.path) else left_out["files that are no images"]).append(inner)
            elif inner != SUBSETS:
                real = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(around[-1], entry.name)
                if any(os.path.join(other, "").startswith(os.path.join(real, "")) for other in around):
                    left_out["links to folders around them"].append(inner)
                    continue
                below = read(os.path.join(inner, ""), (*around, real))
                if below.images or below.folders:
                    place.folders[entry.name] = below
                else:
                    left_out["folders without images"].append(inner)
        return place

    return read("", (os.path.realpath(folder),))


def _files(path: str, entry: os.DirEntry[str]) -> list[str]:
    """The file, or the files in the folder, that stands under `path`; links are not followed."""
    if not entry.is_dir(follow_symlinks=False):
        return [path]
    return [
        os.path.join(path, os.path.relpath(os.path.join(directory, file), entry.path))
        for directory, _, files in os.walk(entry.path)
        for file in files
    ]


def _tell(folder: str, left_out: LeftOut) -> None:
    """Print how much was left out, with an example of each kind."""
    kinds = [f"{what} {len(paths):,} ({min(paths)})" for what, paths in left_out.items() if paths]
    if kinds:
        print(f"Left out of {folder}, with an example of each: {', '.join(kinds)}")
