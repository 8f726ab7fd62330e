"""Checks of tensor arguments. A wrong one raises an InputError that names the argument and what was expected."""

from __future__ import annotations

import torch

from imo.errors import InputError


def check_matrix(name: str, value: torch.Tensor, columns: int | None = None, dtype: torch.dtype | None = None) -> None:
    """Raise InputError unless `value` is a floating matrix with at least one row and no NaN or infinity.

    Args:
        name: of the argument, for the message.
        columns: the expected number of columns; None for any.
        dtype: the expected dtype; None for any floating one.
    """
    wanted = f"a {dtype or 'floating'} matrix with {columns if columns is not None else 'any number of'} columns"
    fits = torch.is_tensor(value) and value.ndim == 2 and value.is_floating_point()
    if not fits or value.dtype != (dtype or value.dtype):
        got = f"{value.dtype} {tuple(value.shape)}" if torch.is_tensor(value) else type(value).__name__
        raise InputError(f"{name}: expected {wanted}, got {got}")
    if value.numel() == 0 or (columns is not None and value.shape[1] != columns):
        raise InputError(f"{name}: expected {wanted} and at least one row, got shape {tuple(value.shape)}")
    if not torch.isfinite(value).all():
        row = int((~torch.isfinite(value)).any(1).nonzero()[0])
        raise InputError(f"{name}: row {row} holds NaN or infinity")


def check_labels(name: str, value: torch.Tensor, rows: int, num_classes: int) -> None:
    """Raise InputError unless `value` is int64 of shape (rows,), with values from 0 to num_classes - 1."""
    if not torch.is_tensor(value) or value.dtype != torch.int64 or value.shape != (rows,):
        got = f"{value.dtype} {tuple(value.shape)}" if torch.is_tensor(value) else type(value).__name__
        raise InputError(f"{name}: expected int64 of shape ({rows},), got {got}")
    if rows and not 0 <= int(value.min()) <= int(value.max()) < num_classes:
        raise InputError(f"{name}: expected values in 0..{num_classes - 1}, got {int(value.min())}..{int(value.max())}")
