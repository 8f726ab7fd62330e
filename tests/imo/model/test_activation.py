"""CLIP's activation function."""

import pytest
import torch

from imo.model.activation import QuickGELU


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_it_is_clip_s_with_and_without_gradients(gradients, dtype):
    x = torch.cat([torch.linspace(-200, 200, 1001), torch.tensor([-1e30, 0.0, 1e30])]).to(dtype)
    with torch.set_grad_enabled(gradients):
        found = QuickGELU()(x.requires_grad_(gradients))
    exact = x.double() * torch.sigmoid(1.702 * x.double())
    torch.testing.assert_close(found.double(), exact, rtol=100 * torch.finfo(dtype).eps, atol=1e-6)
    if gradients:
        found.sum().backward()
        assert torch.isfinite(x.grad).all()
