"""Patch features of both kinds of visual encoder."""

import pytest
import torch
import torch.nn.functional as F
from clip.model import CLIP

import imo
from imo.model.patches import _pooled_everywhere, encode_patches


@pytest.fixture(scope="module")
def resnet():
    """A random CLIP with a small ResNet for 64 x 64 images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIP(16, 64, (1, 1, 1, 1), 8, None, 77, 64, 32, 1, 1).float().eval()
    return model.requires_grad_(False)


def test_a_transformers_patches_go_the_class_tokens_way(tiny_clip, images):
    features, patches = encode_patches(tiny_clip, images)
    torch.testing.assert_close(features, imo.encode_images(tiny_clip, images))
    assert patches.shape == (5, 9, 32)
    # Independently: the tower's own steps, token by token.
    visual = tiny_clip.visual
    with torch.no_grad():
        x = visual.conv1(images).flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.expand(5, 1, -1), x], 1) + visual.positional_embedding
        for block in visual.transformer.resblocks:
            visual_x = (visual.ln_pre(x) if block is visual.transformer.resblocks[0] else x).transpose(0, 1)
            x = block(visual_x).transpose(0, 1)
        expected = torch.stack([visual.ln_post(x[:, p]) @ visual.proj for p in range(10)], 1)
    torch.testing.assert_close(expected[:, 0], features, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(expected[:, 1:], patches, atol=1e-5, rtol=1e-5)


def test_a_resnets_patches_go_the_means_way(resnet):
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features, patches = encode_patches(resnet, images)
    torch.testing.assert_close(features, imo.encode_images(resnet, images))
    assert patches.shape == (3, 4, 16)
    # Attention of each position to all, head by head.
    pool = resnet.visual.attnpool
    grid = torch.randn(2, pool.q_proj.in_features, 2, 2, generator=torch.Generator().manual_seed(1))
    rows = torch.cat([grid.mean((2, 3))[:, None], grid.flatten(2).transpose(1, 2)], 1) + pool.positional_embedding
    q, k, v = (part(rows).unflatten(2, (pool.num_heads, -1)) for part in (pool.q_proj, pool.k_proj, pool.v_proj))
    weights = torch.einsum("bqhd,bkhd->bhqk", q, k).div(q.shape[-1] ** 0.5).softmax(-1)
    expected = pool.c_proj(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2))
    torch.testing.assert_close(_pooled_everywhere(pool, grid), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pool(grid), expected[:, 0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(F.normalize(patches[:, 0], dim=-1), F.normalize(patches[:, 1], dim=-1), atol=1e-3)
