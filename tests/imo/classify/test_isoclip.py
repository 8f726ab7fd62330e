"""IsoCLIP's linear map against a forward pass with the projector replaced."""

import copy

import numpy as np
import pytest
import torch
from clip.model import CLIP

import imo
from imo.classify.isoclip import IsoClip

# (e, v, t): v > e as in ViT-B/16, v = e > t as in glyph, e the largest.
SHAPES = {"v > e": (32, 64, 64), "t smallest": (64, 64, 32), "e largest": (80, 64, 56)}


def random_projectors(e, v, t, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(v, e, generator=generator).to(dtype), torch.randn(t, e, generator=generator).to(dtype)


def corrected_projector(visual, text, top, bottom):
    """By the paper's formula, in its orientation: W_i (e x v), W_t (e x t) -> W_i U_k U_k^T, as (v, e) again."""
    w_i, w_t = visual.double().numpy().T, text.double().numpy().T
    left, values, _ = np.linalg.svd(w_i.T @ w_t)
    rank = int((values > 1e-5 * values[0]).sum())
    kept = left[:, top : rank - bottom]
    return torch.from_numpy((w_i @ kept @ kept.T).T)


def check_forward(model, images, top, bottom):
    isoclip = IsoClip(model.visual.proj, model.text_projection)
    replaced = copy.deepcopy(model)
    with torch.no_grad():
        replaced.visual.proj.copy_(corrected_projector(model.visual.proj, model.text_projection, top, bottom))
    mapped = imo.encode_images(model, images) @ isoclip.map(top, bottom)
    expected = imo.encode_images(replaced, images)
    assert expected.abs().max() > 0.1
    np.testing.assert_allclose(mapped.numpy(), expected.numpy(), atol=2e-3 * float(expected.abs().max()))
    return mapped


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("top, bottom", [(0, 0), (5, 0), (0, 7), (12, 5)])
def test_stored_features_become_those_of_the_corrected_projector(images, shape, top, bottom):
    e, v, t = SHAPES[shape]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIP(e, 24, 2, v, 8, 77, 49408, 64, 1, 1).float().eval().requires_grad_(False)
    visual, text = random_projectors(e, v, t)
    model.visual.proj.copy_(visual)
    model.text_projection = torch.nn.Parameter(text, requires_grad=False)
    check_forward(model, images, top, bottom)
    assert IsoClip(visual, text).rank == min(e, v, t)


def test_glyph(images):
    model, _ = imo.load_clip("glyph")
    assert IsoClip(model.visual.proj, model.text_projection).rank == 64
    whole, part = (check_forward(model, images, *ranges) for ranges in ((0, 0), (25, 6)))
    assert not torch.allclose(whole, part, atol=1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_dropped_is_gone(shape):
    """The map is a projection (twice is once), of the rank that is left."""
    visual, text = random_projectors(*SHAPES[shape])
    isoclip = IsoClip(visual, text)
    for top, bottom in ((0, 0), (3, 4), (isoclip.rank - 1, 0)):
        matrix = isoclip.map(top, bottom).double()
        np.testing.assert_allclose((matrix @ matrix).numpy(), matrix.numpy(), atol=1e-4)
        assert torch.linalg.matrix_rank(matrix, atol=1e-4) == isoclip.rank - top - bottom


def test_half_precision_projectors():
    visual, text = random_projectors(*SHAPES["v > e"], dtype=torch.float16)
    exact = IsoClip(visual.float(), text.float())
    assert torch.equal(IsoClip(visual, text).map(3, 2), exact.map(3, 2))


@pytest.mark.parametrize("top, bottom", [(32, 0), (0, 32), (20, 12), (-1, 0), (0, -2)])
def test_ranges_that_leave_nothing_are_refused(top, bottom):
    with pytest.raises(imo.InputError, match=r"IMO\.ISOCLIP.*32 singular directions"):
        IsoClip(*random_projectors(*SHAPES["v > e"])).map(top, bottom)


def test_projectors_that_do_not_fit_are_refused():
    visual, text = random_projectors(*SHAPES["v > e"])
    for bad, named in (((visual, text[:, :-1]), "text_projector"), ((visual * torch.nan, text), "visual_projector")):
        with pytest.raises(imo.InputError, match=named):
            IsoClip(*bad)
