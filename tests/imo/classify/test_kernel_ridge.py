"""Kernel ridge regression against a linear solver, and leave-one-out against fits without the key."""

import numpy as np
import pytest
import torch

import imo
from imo.classify.kernel_ridge import KernelRidge


@pytest.fixture
def problem():
    """Kernel of 7 keys, their targets (3 columns), and kernel of 5 queries with the keys."""
    generator = torch.Generator().manual_seed(0)
    keys, queries = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (7, 5))
    kernel, cross = (torch.exp(-0.3 * torch.cdist(rows, keys) ** 2) for rows in (keys, queries))
    return kernel, torch.randn(7, 3, generator=generator, dtype=torch.float64), cross


def solved(kernel, targets, cross, ridge):
    return cross.numpy() @ np.linalg.solve(kernel.numpy() + ridge * np.eye(len(kernel)), targets.numpy())


@pytest.mark.parametrize("ridge", [1e-3, 0.5, 100.0])
def test_predictions(problem, ridge):
    kernel, targets, cross = problem
    regression = KernelRidge(kernel, targets)
    np.testing.assert_allclose(regression.predict(cross, ridge).numpy(), solved(*problem, ridge), rtol=1e-8)
    np.testing.assert_allclose((cross @ regression.coefficients(ridge)).numpy(), solved(*problem, ridge), rtol=1e-8)


@pytest.mark.parametrize("ridge", [1e-3, 0.5, 100.0])
def test_leave_one_out_is_a_fit_without_the_key(problem, ridge):
    kernel, targets, cross = problem
    own_keys = torch.tensor([3, 0, 6, 3, 1])
    found = KernelRidge(kernel, targets).predict(cross, ridge, own_keys)
    for i, own in enumerate(own_keys.tolist()):
        kept = [j for j in range(7) if j != own]
        expected = solved(kernel[kept][:, kept], targets[kept], cross[i : i + 1, kept], ridge)
        np.testing.assert_allclose(found[i : i + 1].numpy(), expected, rtol=1e-7)


def test_bad_input_is_named(problem):
    kernel, targets, _ = problem
    for bad, named in (
        ((kernel[:, :3], targets), "kernel"),
        ((kernel, targets[:3]), "targets"),
        ((kernel, targets * torch.nan), "targets"),
    ):
        with pytest.raises(imo.InputError, match=named):
            KernelRidge(*bad)
