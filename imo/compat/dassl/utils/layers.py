"""Choosing which layers are trained, and counting parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


def open_all_layers(model: nn.Module) -> None:
    """Train every layer."""
    model.train()
    model.requires_grad_(True)


def open_specified_layers(model: nn.Module, open_layers: str | Iterable[str]) -> None:
    """Train the named children of the model and freeze the others."""
    inner = model.module if isinstance(model, nn.DataParallel) else model
    wanted = {open_layers} if isinstance(open_layers, str) else set(open_layers)
    for layer in wanted:
        if not hasattr(inner, layer):
            raise AttributeError(f"the model has no layer {layer!r}")
    for name, child in inner.named_children():
        child.train(name in wanted)
        child.requires_grad_(name in wanted)


def count_num_param(model: nn.Module | None = None, params: Iterable[Any] | None = None) -> int:
    """The number of scalars in a model, or in given parameters or parameter groups."""
    if model is not None:
        params = model.parameters()
    if params is None:
        raise ValueError("give a model or its parameters")
    return sum((p["params"] if isinstance(p, dict) else p).numel() for p in params)
