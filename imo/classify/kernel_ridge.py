"""Kernel ridge regression with many strengths of the ridge, and its exact leave-one-out.

The kernel matrix is decomposed once, `K = V diag(e) V^T`. After that the coefficients `A = (K + l I)^-1 R` for targets
R cost only products of matrices, for any ridge l. A fit without image i has the coefficients `A - G_i A_i / G_ii`,
where G_i is the i-th column of `G = (K + l I)^-1`; the coefficient of image i itself is zero.
"""

from __future__ import annotations

import torch

from imo.checks import check_matrix
from imo.errors import InputError


class KernelRidge:
    """Regression of one set of targets on one kernel matrix.

    Args:
        kernel: K, (M, M) floating, symmetric and positive semi-definite.
        targets: R, (M, C) of the same dtype.

    Raises:
        InputError: wrong shapes, dtypes, NaN.
    """

    def __init__(self, kernel: torch.Tensor, targets: torch.Tensor) -> None:
        kernel = check_matrix("kernel", kernel, len(kernel) if torch.is_tensor(kernel) and kernel.ndim else None)
        targets = check_matrix("targets", targets, dtype=kernel.dtype)
        if len(targets) != len(kernel):
            raise InputError(f"targets: expected {len(kernel)} rows as in kernel, got {len(targets)}")
        values, self._basis = torch.linalg.eigh(kernel)
        self._values = values.clamp(min=0)
        self._targets = self._basis.T @ targets

    def coefficients(self, ridge: float) -> torch.Tensor:
        """Coefficients `(K + ridge I)^-1 R`, (M, C)."""
        found: torch.Tensor = self._basis @ (self._targets / (self._values + ridge)[:, None])
        return found

    def predict(self, cross: torch.Tensor, ridge: float, own_keys: torch.Tensor | None = None) -> torch.Tensor:
        """Predictions (N, C) for N queries.

        Args:
            cross: (N, M) kernel of each query with each image of the fit.
            ridge: above 0.
            own_keys: (N,) int64 position of the image that is left out of the fit for each query; None for none.
        """
        cross = check_matrix("cross", cross, len(self._basis), self._basis.dtype)
        projected = cross @ self._basis
        inverse = 1 / (self._values + ridge)
        predictions: torch.Tensor = projected @ (self._targets * inverse[:, None])
        if own_keys is None:
            return predictions
        own = self._basis[own_keys]
        share = (projected * inverse * own).sum(1) / (own.square() * inverse).sum(1)
        predictions -= share[:, None] * self.coefficients(ridge)[own_keys]
        return predictions
