"""Checks of arguments. A wrong one raises an InputError that names the argument and what was expected."""

from __future__ import annotations

import math
import numbers
from typing import Any

import torch

from imo.errors import InputError


def check_kind(name: str, value: object, *kinds: type) -> None:
    """Raise InputError unless `value` is an object of one of some classes."""
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"{name}: expected {wanted}, got {_got(value)}")


def check_number(name: str, value: Any, least: float = -math.inf, whole: bool = False) -> None:
    """Raise InputError unless `value` is a finite number, of at least `least`; with `whole`, an integer."""
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value) or value < least:
        wanted = ("an integer" if whole else "a finite number") + (f" of at least {least}" if least > -math.inf else "")
        raise InputError(f"{name}: expected {wanted}, got {value!r}")


def check_floating(name: str, value: torch.Tensor, wanted: str = "a floating tensor") -> None:
    """Raise InputError unless `value` is a floating tensor."""
    if not torch.is_tensor(value) or not value.is_floating_point():
        raise InputError(f"{name}: expected {wanted}, got {_got(value)}")


def check_matrix(
    name: str, value: torch.Tensor, columns: int | None = None, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Raise InputError unless `value` is a floating matrix with at least one row and no NaN or infinity.

    Args:
        name: of the argument, for the message.
        columns: the expected number of columns; None for any.
        dtype: the expected dtype; None for any floating one.

    Returns:
        The matrix in the arithmetic of everything that is computed from features: float64 if it is float64, and
        otherwise float32. Half precision has too few digits to compare settings by.
    """
    wanted = f"a {dtype or 'floating'} matrix with {columns if columns is not None else 'any number of'} columns"
    check_floating(name, value, wanted)
    matrix = value if value.dtype == torch.float64 else value.float()
    if value.ndim != 2 or matrix.dtype != (dtype or matrix.dtype):
        raise InputError(f"{name}: expected {wanted}, got {_got(value)}")
    if value.numel() == 0 or (columns is not None and value.shape[1] != columns):
        raise InputError(f"{name}: expected {wanted} and at least one row, got shape {tuple(value.shape)}")
    if not torch.isfinite(matrix).all():
        row = int((~torch.isfinite(matrix)).any(1).nonzero()[0])
        raise InputError(f"{name}: row {row} holds NaN or infinity")
    return matrix


def check_rows(name: str, value: torch.Tensor, count: int, other: str) -> None:
    """Raise InputError unless `value` has `count` rows, as the argument `other` has."""
    if len(value) != count:
        raise InputError(f"{name}: expected {count} rows as in {other}, got {len(value)}")


def check_labels(name: str, value: torch.Tensor, rows: int, num_classes: int) -> None:
    """Raise InputError unless `value` is int64 of shape (rows,), with values from 0 to num_classes - 1."""
    if not torch.is_tensor(value) or value.dtype != torch.int64 or value.shape != (rows,):
        raise InputError(f"{name}: expected int64 of shape ({rows},), got {_got(value)}")
    if rows and not 0 <= int(value.min()) <= int(value.max()) < num_classes:
        raise InputError(f"{name}: expected values in 0..{num_classes - 1}, got {int(value.min())}..{int(value.max())}")


def _got(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return type(value).__name__
