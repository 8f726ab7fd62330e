"""The base of the datasets: a folder, a split file, few-shot sampling. A dataset is a few class attributes over it."""

import json
import math
import os
import random
from collections import defaultdict

from dassl.data.datasets import DatasetBase, Datum

from imo.datasets._corruptions import corrupted_copy
from imo.errors import InputError

VALIDATIONS = ("full", "few")


class SplitDataset(DatasetBase):
    """A dataset with a split file of CoOp's form: lists of [path, label, classname] for train, val and test.

    Attributes a dataset sets:
        dataset_dir: its folder below the data root.
        image_dir: the folder that the split's paths start from.
        split_file: the split's file name.
        templates: prompts with `{}`, kept with the dataset.
    """

    dataset_dir = ""
    image_dir = "images"
    split_file = ""
    templates = ("a photo of a {}.",)

    def __init__(self, cfg):
        options = cfg.DATASET
        if options.VALIDATION not in VALIDATIONS:
            raise InputError(
                f"DATASET.VALIDATION: expected one of {', '.join(VALIDATIONS)}, got '{options.VALIDATION}'"
            )
        root = os.path.abspath(os.path.expanduser(options.ROOT))
        if not os.path.isdir(root) or not os.access(root, os.R_OK | os.X_OK):
            raise InputError(f"{root}: data root is missing or unreadable; create it, or set --root (DATA for scripts)")
        self.dataset_dir = os.path.join(root, self.dataset_dir)
        self.image_dir = os.path.join(self.dataset_dir, self.image_dir)
        self.target_name = options.NAME
        self.tuned_on = f"val ({options.VALIDATION})"

        self.prepare()
        train, val, test = self.read_split(os.path.join(self.dataset_dir, self.split_file))
        shots = options.NUM_SHOTS
        if shots >= 1:
            sampler = random.Random(cfg.SEED if cfg.SEED >= 0 else None)
            train = few_shot(train, shots, sampler)
            few = few_shot(val, min(shots, 4), sampler, quiet=True)
            val = few if options.VALIDATION == "few" else val
        train, val, test = subsample_classes(train, val, test, options.SUBSAMPLE_CLASSES)
        if options.CORRUPTION:
            test = corrupted_copy(test, self.image_dir, self.dataset_dir, options.CORRUPTION)
            self.target_name = f"{options.NAME}-{options.CORRUPTION}"
        super().__init__(train_x=train, val=val, test=test)

    def prepare(self):
        """Make the files, for datasets that can; called before the split is read."""

    def read_split(self, path):
        """Three lists of Datum, every image checked to be there."""
        try:
            with open(path, encoding="utf-8") as file:
                split = json.load(file)
            parts = [
                [(str(p), int(label), str(name)) for p, label, name in split[part]] for part in ("train", "val", "test")
            ]
        except FileNotFoundError:
            raise InputError(f"{path}: split file is missing; see DATASETS.md for where to get it") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: broken split file ({type(error).__name__}: {error}); expected train, val and test, "
                f"each a list of [path, label, classname]"
            ) from error
        print(f"Reading split from {path}")
        out = []
        for part in parts:
            items = [(os.path.join(self.image_dir, name), label, classname) for name, label, classname in part]
            missing = [image for image, _, _ in items if not os.path.isfile(image)]
            if missing:
                more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                raise InputError(f"{missing[0]}: image named in {path} is missing{more}; restore it or fix the split")
            out.append([Datum(impath=image, label=label, classname=name) for image, label, name in items])
        if not out[0] or not out[2]:
            raise InputError(f"{path}: expected training and test images, got {len(out[0])} and {len(out[2])}")
        classes = {item.label for item in out[0]}
        strangers = {item.label for part in out for item in part} - set(range(len(classes)))
        if strangers:
            raise InputError(
                f"{path}: broken split file; expected labels 0..{len(classes) - 1} for the {len(classes)} classes of "
                f"train, got {min(strangers)}"
            )
        return out


def few_shot(items, shots, sampler, quiet=False):
    """`shots` items of each class, classes in order of appearance: what Dassl's generate_fewshot_dataset draws.

    Drawn from a generator of its own, seeded as Dassl seeds the global one: same seed, same images.
    """
    by_class = defaultdict(list)
    for item in items:
        by_class[item.label].append(item)
    chosen = []
    short = []
    for members in by_class.values():
        if len(members) < shots:
            short.append(f"{members[0].classname} ({len(members)})")
        chosen += sampler.sample(members, shots) if len(members) >= shots else members
    if not quiet:
        print(f"Creating a {shots}-shot dataset")
        if short:
            print(f"Classes with fewer than {shots} images, all taken: {', '.join(short)}")
    return chosen


def subsample_classes(train, val, test, which):
    """CoOp's base-to-new halves of the classes: all, base (first half, rounded up) or new, relabelled from 0."""
    if which == "all":
        return train, val, test
    if which not in ("base", "new"):
        raise InputError(f"DATASET.SUBSAMPLE_CLASSES: expected all, base or new, got '{which}'")
    labels = sorted({item.label for item in train})
    half = math.ceil(len(labels) / 2)
    kept = {label: i for i, label in enumerate(labels[:half] if which == "base" else labels[half:])}
    return tuple(
        [Datum(impath=d.impath, label=kept[d.label], classname=d.classname) for d in part if d.label in kept]
        for part in (train, val, test)
    )
