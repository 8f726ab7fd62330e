"""Few-shot subsets on disk: ours as JSON, CoOp's as pickles of Dassl's Datum. Both are in <dataset>/split_fewshot."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
from collections.abc import Iterable
from typing import Any

from imo.datasets.base.splits import Item, Split
from imo.datasets.base.subsets import draw, name_short_classes, with_validation
from imo.errors import InputError
from imo.files import atomic_path, refuse_links

FOLDER = "split_fewshot"
Subset = tuple[list[Item], list[Item]]  # support set, validation images


def subset(
    split: Split, *, shots: int, seed: int, validation: str, holds_out: bool, dataset_dir: str, image_dir: str
) -> Subset:
    """The support set and validation images of a run: read from disk if they were kept there, else drawn and kept.

    CoOp's pickle shot_<K>-seed_<S>.pkl is used before our shot_<K>-seed_<S>-<validation>.json. It decides the support
    set, and under "few" the validation images. On ImageNet only the pickle gives CoOp's subset: CoOp samples there from
    images in the order in which a disk happened to list them.

    Args:
        split: what to draw from.
        shots: training images a class; below 1 for all. Nothing is kept then, nor without a seed.
        seed: of the drawing; negative for none.
        validation: the value of DATASET.VALIDATION.
        holds_out: whether training images are held out where the split has no validation images.
        dataset_dir: the dataset's folder.
        image_dir: the folder that paths on disk start from.

    Raises:
        InputError: a file on disk is broken, or names images that the split does not have; or the folder to keep the
            subset in is a link.
    """

    def complete(drawn: Subset) -> Subset:
        return with_validation(drawn, split, shots, validation, holds_out)

    if shots < 1 or seed < 0:
        return complete(draw(split, shots, seed))
    folder = os.path.join(dataset_dir, FOLDER)
    pickled = os.path.join(folder, f"shot_{shots}-seed_{seed}.pkl")
    if os.path.isfile(pickled):
        print(f"Loading preprocessed few-shot data from {pickled}")
        parts = _read_pickle(pickled)
        train = _matched(parts.get("train", []), split.train, image_dir, pickled)
        return complete((train, _matched(parts.get("val", []), split.val, image_dir, pickled)))
    path = os.path.join(folder, f"shot_{shots}-seed_{seed}-{validation}.json")
    if os.path.isfile(path):
        found = _read_json(path, image_dir, split)
        if found is not None:
            print(f"Loading few-shot subset from {path}")
            name_short_classes(found[0], shots)
            return found
        print(f"{path} belongs to another split; drawn again")
    chosen = complete(draw(split, shots, seed))
    with contextlib.suppress(OSError):  # a read-only data folder: drawn again next time
        _write_json(path, image_dir, split, chosen)
    return chosen


def _relative(item: Item, image_dir: str) -> str:
    """An image's path from the image folder, with forward slashes."""
    inside = item.impath.startswith(image_dir + os.sep)  # relpath takes its time for a million images
    path = item.impath[len(image_dir) + 1 :] if inside else os.path.relpath(item.impath, image_dir)
    return path.replace(os.sep, "/")


def _digest(split: Split, image_dir: str) -> str:
    """A hash of all images and classes of a split: a subset drawn from another split is told by it."""
    state = hashlib.blake2b(digest_size=16)
    for part in split:
        for item in part:
            state.update(f"{_relative(item, image_dir)}\t{item.label}\t{item.classname}\n".encode())
        state.update(b"\n")
    return state.hexdigest()


def _write_json(path: str, image_dir: str, split: Split, chosen: Subset) -> None:
    """Keep a subset as {"split": hash of its split, "train": [[path, label, class name], ...], "val": [...]}."""
    parts = {
        part: [[_relative(item, image_dir), item.label, item.classname] for item in items]
        for part, items in zip(("train", "val"), chosen, strict=True)
    }
    refuse_links(path, os.path.dirname(os.path.dirname(path)))
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"split": _digest(split, image_dir), **parts}, indent=0), encoding="utf-8")


def _read_json(path: str, image_dir: str, split: Split) -> Subset | None:
    """The subset in a file of ours, or None if it was drawn from another split."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if content["split"] != _digest(split, image_dir):
            return None
        known = {_relative(item, image_dir): item for part in split for item in part}
        return [known[name] for name, _, _ in content["train"]], [known[name] for name, _, _ in content["val"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: broken few-shot subset ({type(error).__name__}: {error}); delete it, and it is drawn again"
        ) from error


def _read_pickle(path: str) -> dict[str, list[tuple[str, int]]]:
    """{part: [(path, label)]} of CoOp's pickle. It is read without running code that it may hold.

    Raises:
        InputError: it is damaged, or holds anything but Datums in lists.
    """

    class Record:
        """Stands in for Datum: unpickling fills its __dict__ with Datum's private fields."""

        _impath: str
        _label: int

    class Restricted(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) == ("dassl.data.datasets.base_dataset", "Datum"):
                return Record
            raise InputError(f"{path}: refused, for it holds {module}.{name} beside Dassl's Datum; delete it")

    try:
        with open(path, "rb") as file:
            content = Restricted(file).load()
        return {part: [(str(datum._impath), int(datum._label)) for datum in content[part]] for part in content}
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(
            f"{path}: broken few-shot pickle ({type(error).__name__}: {error}); delete it, and ours is drawn"
        ) from error


def _matched(pickled: Iterable[tuple[str, int]], items: Iterable[Item], image_dir: str, path: str) -> list[Item]:
    """The items that the (path, label) pairs of a pickle mean.

    A pickle may come from another machine, so a path matches the item whose path below the image folder it ends with.

    Raises:
        InputError: a pair matches no item; the message names `path`, the pickle.
    """
    known = {_relative(item, image_dir): item for item in items}
    chosen = []
    for impath, label in pickled:
        words = impath.replace("\\", "/").split("/")
        tails = ("/".join(words[start:]) for start in range(len(words)))
        item = next((known[tail] for tail in tails if tail in known), None)
        if item is None or item.label != label:
            raise InputError(
                f"{path}: {impath} with label {label} is not in this split; put the split that it was drawn from in "
                f"place, or delete it"
            )
        chosen.append(item)
    return chosen
