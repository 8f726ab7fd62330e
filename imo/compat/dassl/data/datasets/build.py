"""The registry of data sets."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from ...utils import Registry

DATASET_REGISTRY = Registry("DATASET")


def build_dataset(cfg: CfgNode) -> Any:
    """The data set that DATASET.NAME names."""
    return DATASET_REGISTRY.build(cfg.DATASET.NAME, cfg)
