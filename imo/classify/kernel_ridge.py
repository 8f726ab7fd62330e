"""Kernel ridge regression for many regularisations at once, and its exact leave-one-out.

With the kernel matrix `K = V diag(e) V^T`, the coefficients `A = (K + l I)^-1 R` and so all predictions are products of
matrices for any l. Leaving image i out of the fit changes them by a multiple of the i-th column of
`G = (K + l I)^-1`: its coefficients are `A - G_i A_i / G_ii`, zero for image i itself.
"""

from __future__ import annotations

import torch

from imo.checks import check_matrix
from imo.errors import InputError


class KernelRidge:
    """One kernel matrix and one set of targets.

    Args:
        kernel: (M, M) floating, symmetric and positive semi-definite.
        targets: (M, C) floating.

    Raises:
        InputError: wrong shapes, dtypes, NaN.
    """

    def __init__(self, kernel: torch.Tensor, targets: torch.Tensor) -> None:
        check_matrix("kernel", kernel, len(kernel) if torch.is_tensor(kernel) else None)
        check_matrix("targets", targets, dtype=kernel.dtype)
        if len(targets) != len(kernel):
            raise InputError(f"targets: expected {len(kernel)} rows as in kernel, got {len(targets)}")
        values, self._basis = torch.linalg.eigh(kernel)
        self._values = values.clamp(min=0)
        self._targets = self._basis.T @ targets

    def coefficients(self, ridge: float) -> torch.Tensor:
        """`(K + ridge I)^-1 R`, (M, C)."""
        found: torch.Tensor = self._basis @ (self._targets / (self._values + ridge)[:, None])
        return found

    def predict(self, cross: torch.Tensor, ridge: float, own_keys: torch.Tensor | None = None) -> torch.Tensor:
        """(N, C) predictions.

        Args:
            cross: (N, M) kernel of each query with each key.
            ridge: above 0.
            own_keys: (N,) int64, a key that is left out of the fit for each query.
        """
        projected = cross @ self._basis
        inverse = 1 / (self._values + ridge)
        predictions: torch.Tensor = projected @ (self._targets * inverse[:, None])
        if own_keys is None:
            return predictions
        own = self._basis[own_keys]
        share = (projected * inverse * own).sum(1) / (own.square() * inverse).sum(1)
        predictions -= share[:, None] * self.coefficients(ridge)[own_keys]
        return predictions
