"""The transforms of our views, beside those of the Dassl that is imported here."""

import random

import numpy as np
import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data import transforms as theirs
from PIL import Image

from imo.compat.transforms import AVAI_CHOICES
from imo.trainers.base.transforms import are_ours, build_transform


def seeded_view(transform, image):
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    return transform(image)


@pytest.mark.parametrize("is_train", [True, False])
@pytest.mark.parametrize("choice", AVAI_CHOICES)
def test_views_are_those_of_dassl(choice, is_train):
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.GB_K, cfg.INPUT.INTERPOLATION = (16, 24), 3, "bicubic"
    cfg.INPUT.RRCROP_SCALE, cfg.INPUT.TRANSFORMS = (0.5, 1.0), (choice, "normalize")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    assert are_ours(cfg)
    ours, other = (seeded_view(f(cfg, is_train=is_train), image) for f in (build_transform, theirs.build_transform))
    assert torch.equal(ours, other)


def test_what_only_dassl_has_is_dassl_s(monkeypatch):
    cfg = get_cfg_default()
    cfg.INPUT.TRANSFORMS = ("randaugment2", "normalize")
    monkeypatch.setattr(theirs, "build_transform", lambda cfg, is_train: f"theirs {is_train}")
    assert not are_ours(cfg)
    assert build_transform(cfg, is_train=True) == "theirs True"
