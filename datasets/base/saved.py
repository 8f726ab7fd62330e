"""Few-shot subsets on disk: ours as JSON, CoOp's as pickles of Dassl's Datum. Both are in <dataset>/split_fewshot."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from imo.bounds import check_pickle
from imo.datasets.base.splits import Item, Split, by_label
from imo.datasets.base.subsets import draw, name_short_classes, with_validation
from imo.errors import InputError, reading
from imo.files import atomic_path, read_json, refuse_links

FOLDER = "split_fewshot"
_LONGEST = 4096  # characters of a path
Subset = tuple[list[Item], list[Item]]  # support set, validation images


def subset(
    split: Split, *, shots: int, seed: int, validation: str, holds_out: bool, dataset_dir: str, image_dir: str
) -> Subset:
    """The support set and validation images of a run: read from disk if they were kept there, else drawn and kept.

    CoOp's pickle shot_<K>-seed_<S>.pkl is used before our shot_<K>-seed_<S>-<validation>.json. It decides the support
    set, and under "few" the validation images. On ImageNet only the pickle gives CoOp's subset: CoOp samples there from
    images in the order in which a disk happened to list them.

    A file must hold what its name says, min(shots, class size) training images of each class and the validation images
    of the protocol; else a pickle is refused, and a JSON file is drawn again.

    Args:
        split: what to draw from.
        shots: training images a class; below 1 for all. Nothing is kept then, nor without a seed.
        seed: of the drawing; negative for none.
        validation: the value of DATASET.VALIDATION.
        holds_out: whether training images are held out where the split has no validation images.
        dataset_dir: the dataset's folder.
        image_dir: the folder that paths on disk start from.

    Raises:
        InputError: a file on disk is broken, or names images that the split does not have; a pickle is not what its
            name says; or the folder to keep the subset in is a link.
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
        few = _matched(parts.get("val", []), split.val, image_dir, pickled)
        fault = _fault(train, split.train, shots, "training")
        if validation == "few" and not fault:
            fault = _fault(few, split.val, min(shots, 4), "validation")
        if fault:
            raise InputError(f"{pickled}: not what its name says ({fault}); delete it, and ours is drawn")
        return complete((train, few))
    path = os.path.join(folder, f"shot_{shots}-seed_{seed}-{validation}.json")
    if os.path.isfile(path):
        found = _read_json(path, image_dir, split)
        if found is None:
            print(f"{path} belongs to another split; drawn again")
        elif fault := _fault_of(found, split, shots, validation, holds_out):
            print(f"Warning: {path} is not what its name says ({fault}); drawn again")
        else:
            print(f"Loading few-shot subset from {path}")
            name_short_classes(found[0], shots)
            return found
    chosen = complete(draw(split, shots, seed))
    with contextlib.suppress(OSError):  # a read-only data folder: drawn again next time
        _write_json(path, image_dir, split, chosen)
    return chosen


def _fault(chosen: list[Item], pool: list[Item], shots: int, part: str) -> str:
    """What keeps `chosen` from being min(shots, class size) images of each class of `pool`, in words; else nothing."""
    counts = Counter(chosen)
    strangers = counts - Counter(item for item in pool if item in counts)
    if strangers:
        return f"{next(iter(strangers)).impath} is not a {part} image, or is there twice"
    found = Counter(item.label for item in chosen)
    for members in by_label(pool):
        if found[members[0].label] != min(shots, len(members)):
            return (
                f"{found[members[0].label]} {part} images of class {members[0].classname!r}, "
                f"expected {min(shots, len(members))}"
            )
    return ""


def _fault_of(found: Subset, split: Split, shots: int, validation: str, holds_out: bool) -> str:
    """What keeps a subset from being one that could have been drawn, in words; else nothing."""
    support, val = found
    fault = _fault(support, split.train, shots, "training")
    if not fault and validation == "few" and split.val:
        fault = _fault(val, split.val, min(shots, 4), "validation")
    elif not fault and val != with_validation((support, []), split, shots, validation, holds_out)[1]:
        fault = f"its validation images are not those of {validation!r}"
    return fault


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
            state.update(
                f"{_relative(item, image_dir)}\t{item.label}\t{item.classname}\n".encode(errors="surrogateescape")
            )
        state.update(b"\n")
    return state.hexdigest()


def _write_json(path: str, image_dir: str, split: Split, chosen: Subset) -> None:
    """Keep a subset as {"split": hash of its split, "train": [[path, label, class name], ...], "val": [...]}."""
    train, val = ([item._replace(impath=_relative(item, image_dir)) for item in part] for part in chosen)
    content = {"split": _digest(split, image_dir), "train": train, "val": val}
    refuse_links(path, os.path.dirname(os.path.dirname(path)))
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=0), encoding="utf-8")


def _read_json(path: str, image_dir: str, split: Split) -> Subset | None:
    """The subset in a file of ours, or None if it was drawn from another split."""
    remedy = "delete it, and it is drawn again"
    content = read_json(path, dict[str, Any], "broken few-shot subset", remedy)
    with reading(f"{path}: broken few-shot subset", remedy):
        if content["split"] != _digest(split, image_dir):
            return None
        known = {(_relative(item, image_dir), *item[1:]): item for part in split for item in part}
        return [known[tuple(entry)] for entry in content["train"]], [known[tuple(entry)] for entry in content["val"]]


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

    with reading(f"{path}: broken few-shot pickle", "delete it, and ours is drawn"):
        with open(path, "rb") as file:
            pickled = file.read()
        check_pickle(io.BytesIO(pickled), len(pickled))
        content = Restricted(io.BytesIO(pickled)).load()
        found = {part: [(datum._impath, datum._label) for datum in content[part]] for part in content}
        for impath, label in (pair for pairs in found.values() for pair in pairs):
            if not isinstance(impath, str) or not isinstance(label, int) or len(impath) > _LONGEST:
                raise ValueError("an image's path is no text, or too long, or its label is no number")
    return found


def _matched(pickled: Iterable[tuple[str, int]], items: Iterable[Item], image_dir: str, path: str) -> list[Item]:
    """The items that the (path, label) pairs of a pickle mean.

    A pickle may come from another machine, so a path matches the item whose path below the image folder it ends with.

    Raises:
        InputError: a pair matches no item; the message names `path`, the pickle.
    """
    known: dict[str, dict[int, Item]] = defaultdict(dict)  # a published split may have one image in two classes
    for one in items:
        known[_relative(one, image_dir)][one.label] = one
    chosen = []
    for impath, label in pickled:
        words = impath.replace("\\", "/").split("/")
        tails = ("/".join(words[start:]) for start in range(len(words)))
        item = next((known[tail] for tail in tails if tail in known), {}).get(label)
        if item is None:
            raise InputError(
                f"{path}: {impath} with label {label} is not in this split; put the split that it was drawn from in "
                f"place, or delete it"
            )
        chosen.append(item)
    return chosen
