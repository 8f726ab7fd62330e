"""The transforms of our views."""

from __future__ import annotations

from typing import Any

from dassl.data import transforms as theirs
from yacs.config import CfgNode

from imo.compat import transforms as ours


def are_ours(cfg: CfgNode) -> bool:
    """Whether views are made by the transforms of `imo.compat`: unless one is chosen that only Dassl has, such as
    randaugment."""
    return {*cfg.INPUT.TRANSFORMS} <= {*ours.AVAI_CHOICES}


def build_transform(cfg: CfgNode, is_train: bool) -> Any:
    """The transform that a config's node INPUT describes, from a PIL image; the same on every Dassl, old and new."""
    return (ours if are_ours(cfg) else theirs).build_transform(cfg, is_train=is_train)


def turns(cfg: CfgNode) -> bool:
    """Whether images are turned as their EXIF orientation says; not for datasets without this option, a checkout's."""
    return bool(cfg.DATASET.get("EXIF", False))
