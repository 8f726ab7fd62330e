"""Counting parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


def count_num_param(model: nn.Module | None = None, params: Iterable[Any] | None = None) -> int:
    """The number of scalars in a model, or in given parameters or parameter groups."""
    if model is not None:
        params = model.parameters()
    if params is None:
        raise ValueError("give a model or its parameters")
    return sum((p["params"] if isinstance(p, dict) else p).numel() for p in params)
