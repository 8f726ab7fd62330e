"""Optimisers by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from yacs.config import CfgNode

AVAI_OPTIMS = ["adam", "amsgrad", "sgd", "rmsprop", "radam", "adamw"]


def build_optimizer(
    model: nn.Module | Iterable[Any], optim_cfg: CfgNode, param_groups: Iterable[Any] | None = None
) -> Optimizer:
    """The optimiser that OPTIM.NAME names.

    Args:
        model: a model, or its parameters.
        optim_cfg: the node OPTIM.
        param_groups: parameter groups, which are optimised in place of `model`.

    Raises:
        ValueError: an unknown name.
        TypeError: STAGED_LR without a model.
    """
    name = optim_cfg.NAME
    if name not in AVAI_OPTIMS:
        raise ValueError(f"optim must be one of {AVAI_OPTIMS}, but got {name}")
    if param_groups is not None:
        if optim_cfg.STAGED_LR:
            warnings.warn("STAGED_LR is ignored, since param_groups are given", stacklevel=2)
    elif optim_cfg.STAGED_LR:
        param_groups = _staged_groups(model, optim_cfg)
    else:
        param_groups = model.parameters() if isinstance(model, nn.Module) else model

    common = {"lr": optim_cfg.LR, "weight_decay": optim_cfg.WEIGHT_DECAY}
    betas = {"betas": (optim_cfg.ADAM_BETA1, optim_cfg.ADAM_BETA2)}
    momentum = {"momentum": optim_cfg.MOMENTUM}
    sgd = {"dampening": optim_cfg.SGD_DAMPNING, "nesterov": optim_cfg.SGD_NESTEROV}
    known: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
        "adam": (torch.optim.Adam, betas),
        "amsgrad": (torch.optim.Adam, {**betas, "amsgrad": True}),
        "sgd": (torch.optim.SGD, {**momentum, **sgd}),
        "rmsprop": (torch.optim.RMSprop, {**momentum, "alpha": optim_cfg.RMSPROP_ALPHA}),
        "radam": (torch.optim.RAdam, {**betas, "decoupled_weight_decay": True}),
        "adamw": (torch.optim.AdamW, betas),
    }
    build, options = known[name]
    return build(param_groups, **common, **options)


def _staged_groups(model: Any, optim_cfg: CfgNode) -> list[dict[str, Any]]:
    """A model's parameters in two groups: NEW_LAYERS at the full rate, all others at BASE_LR_MULT of it."""
    if not isinstance(model, nn.Module):
        raise TypeError("STAGED_LR needs an nn.Module, since it goes by the names of layers")
    inner = model.module if isinstance(model, nn.DataParallel) else model
    new_layers = [optim_cfg.NEW_LAYERS] if isinstance(optim_cfg.NEW_LAYERS, str) else list(optim_cfg.NEW_LAYERS)
    if not any(new_layers):
        warnings.warn("NEW_LAYERS is empty, so STAGED_LR reduces the rate of every layer", stacklevel=3)
    base: list[nn.Parameter] = []
    new: list[nn.Parameter] = []
    for name, child in inner.named_children():
        (new if name in new_layers else base).extend(child.parameters())
    return [{"params": base, "lr": optim_cfg.LR * optim_cfg.BASE_LR_MULT}, {"params": new}]
