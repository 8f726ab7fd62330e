"""The registry of trainers."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from ..utils import Registry

TRAINER_REGISTRY = Registry("TRAINER")


def build_trainer(cfg: CfgNode) -> Any:
    """The trainer that TRAINER.NAME names."""
    return TRAINER_REGISTRY.build(cfg.TRAINER.NAME, cfg)
