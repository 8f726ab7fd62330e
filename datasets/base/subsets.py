"""Choosing images from a split: few shots, validation images, halves of the classes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from imo.datasets.base.splits import Item, Split, by_label
from imo.protocol import Protocol

HELD_OUT = 10  # training images of each class that "full" holds out where the split has no validation images


def protocol_of(split: Split, validation: str) -> Protocol:
    """Which images hyper-parameters are chosen on, for a split and a value of DATASET.VALIDATION."""
    if validation == "support":
        return Protocol(validation, "support")
    if split.val:
        return Protocol(validation, "val")
    return Protocol(validation, "test" if validation == "paper" else "held-out train")


def protocol_of_held_out(protocol: Protocol, support: Iterable[Item], val: Sequence[Item]) -> Protocol:
    """The protocol when validation images have been held out: of the support set where no class had any to spare. Says
    which classes had none."""
    held = {item.label for item in val}
    lacking = [items[0].classname for items in by_label(support) if items[0].label not in held]
    if lacking and held:
        print(f"All training images are support, none is held out for validation: {', '.join(lacking)}")
    if held:
        return protocol
    print("All training images are support, none is held out for validation: settings are chosen on the support set")
    return replace(protocol, images="support")


def few_shot(items: Iterable[Item], shots: int, sampler: random.Random, quiet: bool = False) -> list[Item]:
    """Draw `shots` items of each class; all items of a class that has fewer.

    Classes come in order of their first item. These are the items that Dassl's generate_fewshot_dataset draws after
    seeding Python's global generator with the seed of `sampler`.

    Args:
        items: what to draw from.
        shots: items a class.
        sampler: the only source of randomness.
        quiet: print nothing.
    """
    chosen: list[Item] = []
    for members in by_label(items):
        chosen += sampler.sample(members, shots) if len(members) >= shots else members
    if not quiet:
        print(f"Creating a {shots}-shot dataset")
        name_short_classes(chosen, shots)
    return chosen


def name_short_classes(support: Iterable[Item], shots: int) -> None:
    """Print which classes have fewer images than shots."""
    short = [f"{items[0].classname} ({len(items)})" for items in by_label(support) if len(items) < shots]
    if short:
        print(f"Classes with fewer than {shots} images, all taken: {', '.join(short)}")


def held_out(items: Sequence[Item], support: Sequence[Item] | None, count: int) -> list[Item]:
    """Choose at most `count` training images of each class for validation, none of them in the support set.

    Each class is put in one fixed random order, whatever the run's seed, and the first images in it that are free are
    chosen. Where `support` is None, all images are to be support but for those chosen: a tenth of each class at most,
    and never its only image.
    """
    taken = {item.impath for item in support or ()}
    chosen = []
    for members in by_label(items):
        free = [item for item in random.Random(0).sample(members, len(members)) if item.impath not in taken]
        spared = min(count, math.ceil(len(members) / 10), len(members) - 1)
        chosen += free[: spared if support is None else count]
    return chosen


def draw(split: Split, shots: int, seed: int) -> tuple[list[Item], list[Item]]:
    """Draw (support set, min(shots, 4) validation images a class), in this order from one generator, as CoOp does.

    Args:
        split: what to draw from.
        shots: training images a class; below 1, all training and all validation images are taken.
        seed: of the generator; negative for a different draw each time.
    """
    if shots < 1:
        return split.train, split.val
    sampler = random.Random(seed if seed >= 0 else None)
    support = few_shot(split.train, shots, sampler)
    return support, few_shot(split.val, min(shots, 4), sampler, quiet=True)


def with_validation(
    drawn: tuple[list[Item], list[Item]], split: Split, shots: int, validation: str, holds_out: bool
) -> tuple[list[Item], list[Item]]:
    """(support set, validation images) for a value of DATASET.VALIDATION.

    Args:
        drawn: what `draw` gave.
        split: what it was drawn from.
        shots: as for `draw`.
        validation: one of `imo.protocol.VALIDATIONS`.
        holds_out: whether training images are held out where the split has no validation images.
    """
    support, few = drawn
    if validation == "support":
        return support, []
    if split.val or not holds_out:
        return support, few if validation == "few" else split.val
    if validation == "paper":  # ImageNet's: hyper-parameters are tuned on test images
        return support, split.test
    if shots < 1:
        val = held_out(split.train, None, HELD_OUT)
        given_up = {item.impath for item in val}
        return [item for item in support if item.impath not in given_up], val
    return support, held_out(split.train, support, min(shots, 4) if validation == "few" else HELD_OUT)


def subsample_classes(
    train: list[Item], val: list[Item], test: list[Item], which: str
) -> tuple[list[Item], list[Item], list[Item]]:
    """The items of CoOp's "base" or "new" classes (see `class_half`) with labels counted from 0; of "all", as given."""
    if which == "all":
        return train, val, test
    kept = {label: i for i, label in enumerate(class_half({item.label for item in train}, which))}

    def chosen(part: list[Item]) -> list[Item]:
        return [item._replace(label=kept[item.label]) for item in part if item.label in kept]

    return chosen(train), chosen(val), chosen(test)


def class_half(labels: Iterable[int], which: str) -> list[int]:
    """The sorted labels of "all" classes, of the "base" half (the first, rounded up) or of the "new" half, the rest."""
    labels = sorted(labels)
    half = math.ceil(len(labels) / 2)
    return {"all": labels, "base": labels[:half], "new": labels[half:]}[which]
