"""The registry of evaluators."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from ..utils import Registry

EVALUATOR_REGISTRY = Registry("EVALUATOR")


def build_evaluator(cfg: CfgNode, **kwargs: Any) -> Any:
    """The evaluator that TEST.EVALUATOR names."""
    return EVALUATOR_REGISTRY.build(cfg.TEST.EVALUATOR, cfg, **kwargs)
