"""Options that all datasets read."""

from __future__ import annotations

from yacs.config import CfgNode

from imo.datasets.base.corruptions import CORRUPTIONS
from imo.protocol import VALIDATIONS
from imo.rules import FLAG, TEXT, Rule, one_of, several

_COPIES = {f"{name}-{severity}" for name in CORRUPTIONS for severity in range(1, 6)}
RULES = {
    "DATASET.SUBSAMPLE_CLASSES": one_of(("all", "base", "new")),
    "DATASET.VALIDATION": one_of(VALIDATIONS),
    "DATASET.CORRUPTION": Rule(
        f"<name>-<severity 1..5> with a name of {', '.join(CORRUPTIONS)}",
        lambda value: isinstance(value, str) and value in {"", *_COPIES},
    ),
    "DATASET.EXIF": FLAG,
    "DATASET.TITLE": TEXT,
    "DATASET.CFG": TEXT,
    "DATASET.SHIFTS": several(TEXT),
}


def extend_cfg(cfg: CfgNode) -> None:
    """Add the options to the node DATASET."""
    # Which classes, as in CoOp: "all", "base" (the first half) or "new" (the second half).
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"
    # What results and messages call a dataset of one's own; set to its file's name when that is read.
    cfg.DATASET.TITLE = ""
    # Validation images: "full" (the whole split, as the IMO authors do), "few" (min(shots, 4) a class, as CoOp does),
    # "paper" ("full", but ImageNet is tuned on its test set) or "support" (none: methods tune on the support set, each
    # image left out in turn). ImageNet has no validation split of its own: "full" and "few" hold out training images
    # that are not in the run's support set.
    cfg.DATASET.VALIDATION = "full"
    # Corrupt the test images: <name>-<severity 1..5>, for instance gaussian_noise-3.
    cfg.DATASET.CORRUPTION = ""
    # Turn images as their EXIF orientation says, as photos of phones need it. The field's code does not, so published
    # datasets are read as their pixels lie; configs/datasets/folder.yaml, the pattern for one's own, turns it on.
    cfg.DATASET.EXIF = False
    # The trainer config that scripts take where none is named.
    cfg.DATASET.CFG = "vit_b16"
    # What scripts/shift.sh tests on where no target is named: datasets, or corruptions of this one.
    cfg.DATASET.SHIFTS = [f"{name}-3" for name in CORRUPTIONS]
