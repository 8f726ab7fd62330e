"""The default configuration."""

from __future__ import annotations

from yacs.config import CfgNode

from imo.compat.defaults import DEFAULTS


def get_cfg_default() -> CfgNode:
    """A fresh copy of the default configuration."""
    return CfgNode(DEFAULTS)


def clean_cfg(cfg: CfgNode, trainer: str) -> None:
    """Remove the settings of all trainers but the given one, so that printing a configuration is short."""
    for key in list(cfg.TRAINER):
        if key not in ("NAME", trainer.upper()):
            del cfg.TRAINER[key]
