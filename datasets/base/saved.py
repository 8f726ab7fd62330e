"""Few-shot subsets on disk: ours as JSON, CoOp's own as pickles of Dassl's Datum."""

import contextlib
import hashlib
import json
import os
import pickle

from imo.datasets.base.subsets import draw, name_short_classes, with_validation
from imo.errors import InputError
from imo.files import atomic_path

FOLDER = "split_fewshot"


def subset(dataset, split, shots, seed, protocol):
    """(support set, validation items): as kept on disk, else drawn, and then kept.

    CoOp's pickle goes before our file; it decides the support set, and validation under "few". ImageNet's subsets equal
    CoOp's only with it, for CoOp samples there from the order in which a disk happens to list its files.
    """

    def complete(drawn):
        return with_validation(drawn, split, shots, protocol, dataset.holds_out)

    if shots < 1 or seed < 0:
        return complete(draw(split, shots, seed))
    folder = os.path.join(dataset.dataset_dir, FOLDER)
    pickled = os.path.join(folder, f"shot_{shots}-seed_{seed}.pkl")
    if os.path.isfile(pickled):
        print(f"Loading preprocessed few-shot data from {pickled}")
        parts = _read_pickle(pickled)
        return complete(
            [_matched(parts.get(part, []), getattr(split, part), dataset, pickled) for part in ("train", "val")]
        )
    path = os.path.join(folder, f"shot_{shots}-seed_{seed}-{protocol}.json")
    if os.path.isfile(path):
        found = _read_json(path, dataset, split)
        if found is not None:
            print(f"Loading few-shot subset from {path}")
            name_short_classes(found[0], shots)
            return found
        print(f"{path} belongs to another split; drawn again")
    chosen = complete(draw(split, shots, seed))
    with contextlib.suppress(OSError):  # a read-only data folder: drawn again next time
        _write_json(path, dataset, split, chosen)
    return chosen


def _relative(item, dataset):
    return item.impath[len(dataset.image_dir) + 1 :].replace(os.sep, "/")


def _digest(split, dataset):
    """What tells one split from another."""
    state = hashlib.blake2b(digest_size=16)
    for part in split:
        for item in part:
            state.update(f"{_relative(item, dataset)}\t{item.label}\t{item.classname}\n".encode())
        state.update(b"\n")
    return state.hexdigest()


def _write_json(path, dataset, split, chosen):
    parts = {
        part: [[_relative(item, dataset), item.label, item.classname] for item in items]
        for part, items in zip(("train", "val"), chosen)
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"split": _digest(split, dataset), **parts}, indent=0), encoding="utf-8")


def _read_json(path, dataset, split):
    """(support set, validation items), or None for those of another split."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if content["split"] != _digest(split, dataset):
            return None
        known = {_relative(item, dataset): item for part in split for item in part}
        return tuple([known[name] for name, _, _ in content[part]] for part in ("train", "val"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: broken few-shot subset ({type(error).__name__}: {error}); delete it, and it is drawn again"
        ) from error


def _read_pickle(path):
    """{part: [(path, label)]} of CoOp's pickle; nothing in it is run."""

    class Record:
        """Stands in for Datum: the unpickler fills its __dict__."""

    class Restricted(pickle.Unpickler):
        def find_class(self, module, name):
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


def _matched(pickled, items, dataset, path):
    """The items behind pickled paths, which may be another machine's: they match by the tail below the image folder."""
    known = {_relative(item, dataset): item for item in items}
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
