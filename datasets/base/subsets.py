"""Choosing from a split: few shots, held-out training images, halves of the classes."""

import math
import random

from imo.datasets.base.splits import Item, by_label
from imo.errors import InputError

VALIDATIONS = ("full", "few", "paper", "support")
HELD_OUT = 10  # images of each class that stand in for a validation split


def check_validation(option):
    """Refuse an unknown protocol."""
    if option not in VALIDATIONS:
        raise InputError(f"DATASET.VALIDATION: expected one of {', '.join(VALIDATIONS)}, got '{option}'")


def few_shot(items, shots, sampler, quiet=False):
    """`shots` items of each class, classes in order of appearance: what Dassl's generate_fewshot_dataset draws.

    Drawn from a generator of its own, seeded as Dassl seeds the global one: same seed, same images.
    """
    chosen = []
    for members in by_label(items):
        chosen += sampler.sample(members, shots) if len(members) >= shots else members
    if not quiet:
        print(f"Creating a {shots}-shot dataset")
        name_short_classes(chosen, shots)
    return chosen


def name_short_classes(support, shots):
    """Say which classes have fewer images than shots."""
    short = [f"{items[0].classname} ({len(items)})" for items in by_label(support) if len(items) < shots]
    if short:
        print(f"Classes with fewer than {shots} images, all taken: {', '.join(short)}")


def held_out(items, support, count):
    """The first `count` of each class in one fixed order, without those in `support`: validation that no key has seen.

    Where all images are support, at most a tenth of each class.
    """
    everything = len(support) == len(items)
    taken = set() if everything else {item.impath for item in support}
    chosen = []
    for members in by_label(items):
        free = [item for item in random.Random(0).sample(members, len(members)) if item.impath not in taken]
        chosen += free[: min(count, math.ceil(len(members) / 10)) if everything else count]
    return chosen


def draw(split, shots, seed):
    """(support set, few validation items), drawn in this order from one generator, as CoOp does; all for no shots.

    Args:
        split: what to draw from.
        shots: images a class, min(shots, 4) for validation; below 1 for all.
        seed: of the generator; negative for none.
    """
    if shots < 1:
        return split.train, split.val
    sampler = random.Random(seed if seed >= 0 else None)
    support = few_shot(split.train, shots, sampler)
    return support, few_shot(split.val, min(shots, 4), sampler, quiet=True)


def with_validation(drawn, split, shots, protocol, holds_out):
    """(support set, validation items) under a protocol.

    Args:
        drawn: what `draw` gave.
        split: what it was drawn from.
        shots: as for `draw`.
        protocol: see `VALIDATIONS`.
        holds_out: whether training images stand in where the split has no validation images.
    """
    support, few = drawn
    if protocol == "support":
        return support, []
    if split.val or not holds_out:
        return support, few if protocol == "few" else split.val
    if protocol == "paper":  # ImageNet's: hyper-parameters are tuned on test images
        return support, split.test
    val = held_out(split.train, support, min(shots, 4) if protocol == "few" and shots >= 1 else HELD_OUT)
    if shots < 1:  # the support set is all there is: it gives them up
        given_up = {item.impath for item in val}
        support = [item for item in support if item.impath not in given_up]
    return support, val


def subsample_classes(train, val, test, which):
    """CoOp's base-to-new halves of the classes: all, base (first half, rounded up) or new, relabelled from 0."""
    if which == "all":
        return train, val, test
    kept = {label: i for i, label in enumerate(class_half({item.label for item in train}, which))}
    return tuple(
        [Item(item.impath, kept[item.label], item.classname) for item in part if item.label in kept]
        for part in (train, val, test)
    )


def class_half(labels, which):
    """The labels of a half, sorted."""
    if which not in ("all", "base", "new"):
        raise InputError(f"DATASET.SUBSAMPLE_CLASSES: expected all, base or new, got '{which}'")
    labels = sorted(labels)
    half = math.ceil(len(labels) / 2)
    return {"all": labels, "base": labels[:half], "new": labels[half:]}[which]
