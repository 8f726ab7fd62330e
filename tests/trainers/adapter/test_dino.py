"""The self-supervised objective against its formulas, and what student and teacher share."""

import copy
import random

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("lightly", reason="the extra dino is not installed")

import imo
from imo import trainers
from imo.trainers.adapter.dino import Dino, crops, embed, resampled
from imo.trainers.base.views import seeded

# isort: split
from dassl.config import get_cfg_default


@pytest.fixture
def cfg():
    cfg = get_cfg_default()
    trainers.extend_cfg(cfg)
    cfg.INPUT.SIZE, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD = (24, 24), [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    options = cfg.TRAINER.IMOADAPTER.DINO
    options.OUTPUT, options.HIDDEN, options.LOCAL_VIEWS, options.LOCAL_SIZE, options.MOMENTUM = 7, 5, 3, 16, 0.9
    return cfg


@pytest.fixture
def objective(adapted_clip, cfg):
    torch.manual_seed(3)
    objective = Dino(adapted_clip, cfg)
    with torch.no_grad():  # apart, so that one is not taken for the other
        for parameter in objective.teacher.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return objective


@pytest.fixture
def views():
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(2, 3, side, side, generator=generator) for side in (24, 24, 16, 16, 16)]


def without_dropout(clip):
    for adapter in imo.model.adapter.adapters_of(clip):
        adapter.dropout.p = 0.0


def test_loss_is_the_papers(adapted_clip, cfg, objective, views):
    without_dropout(adapted_clip)
    objective.criterion.center += torch.linspace(-1, 1, 7)
    loss, _ = objective.loss(adapted_clip.visual, views, None, epoch=1)

    student, teacher = objective.student, objective.teacher
    own = copy.deepcopy(student["adapters"].state_dict())
    s = [student["head"](embed(adapted_clip.visual, view)).detach().double().numpy() for view in views]
    student["adapters"].load_state_dict(teacher["adapters"].state_dict())
    t = [teacher["head"](adapted_clip.visual(view)).detach().double().numpy() for view in views[:2]]
    student["adapters"].load_state_dict(own)
    temperature = 0.04 + (0.07 - 0.04) * 1 / 2  # second of three epochs of warm-up

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(1, keepdims=True)

    center, terms = np.linspace(-1, 1, 7), []
    for i in range(2):
        for j in range(5):
            if i != j:
                target = softmax((t[i] - center) / temperature)
                terms.append(-(target * np.log(softmax(s[j] / 0.1))).sum(1).mean())
    assert float(loss.detach()) == pytest.approx(np.mean(terms), rel=1e-4)

    objective.after_step(1.0)
    np.testing.assert_allclose(
        objective.criterion.center[0, 0].numpy(), 0.9 * center + 0.1 * np.concatenate(t).mean(0), atol=1e-5
    )


def test_only_adapters_and_head_learn(adapted_clip, objective, views):
    objective.loss(adapted_clip.visual, views, None, epoch=1)[0].backward()
    moved = {name for name, p in adapted_clip.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved and all(".adapter." in name for name in moved)
    assert all(p.grad is None for p in objective.teacher.parameters())
    assert objective.student["head"].layers[0].weight.grad.abs().sum() > 0
    objective.before_step(0)  # the last layer stands still in the first epoch
    assert objective.student["head"].last_layer.weight_v.grad is None


def test_head_of_the_published_code_stands_still(adapted_clip, cfg, views):
    cfg.TRAINER.IMOADAPTER.DINO.HEAD = "paper"
    objective = Dino(adapted_clip, cfg)
    objective.loss(adapted_clip.visual, views, None, epoch=1)[0].backward()
    assert all(p.grad is None for p in objective.student["head"].parameters())
    assert any(p.grad is not None for p in objective.student["adapters"].parameters())


def test_teacher_follows_the_student(adapted_clip, objective, views):
    for done, momentum in ((0.0, 0.9), (0.5, 0.95), (1.0, 1.0)):
        objective.loss(adapted_clip.visual, views, None, epoch=1)
        before = [p.clone() for p in objective.teacher.parameters()]
        objective.after_step(done)
        for old, new, own in zip(before, objective.teacher.parameters(), objective.student.parameters()):
            torch.testing.assert_close(new, momentum * old + (1 - momentum) * own)


def test_the_teachers_adapters_are_deployed(adapted_clip, objective, images):
    own = imo.encode_images(adapted_clip.eval(), images, corrected=True)
    with objective.deployed():
        deployed = imo.encode_images(adapted_clip, images, corrected=True)
    state = {
        f"transformer.resblocks.{i}.adapter.{name}": parameter
        for i, adapter in enumerate(objective.teacher["adapters"])
        for name, parameter in adapter.named_parameters()
    }
    torch.testing.assert_close(deployed, embed(adapted_clip.visual, images, state).detach())
    assert not torch.equal(own, deployed)
    assert torch.equal(imo.encode_images(adapted_clip, images, corrected=True), own)


def test_position_embeddings(tiny_clip, images):
    positions = tiny_clip.visual.positional_embedding
    assert torch.equal(embed(tiny_clip.visual, images), tiny_clip.visual(images))  # at its own size nothing changes
    smaller = resampled(positions, 2)
    assert smaller.shape == (5, 64) and torch.equal(smaller[0], positions[0])
    # A field that is linear in the row stays nearly so: rows of a finer grid lie at (i + 1/2) g / n - 1/2.
    field = torch.cat([torch.zeros(1, 1), torch.arange(8.0).repeat_interleave(8)[:, None]])
    finer = resampled(field, 16)[1:].view(16, 16)
    expected = (torch.arange(16) + 0.5) / 2 - 0.5
    torch.testing.assert_close(finer[4:12], expected[4:12, None].expand(8, 16), rtol=0, atol=0.05)


def test_crops(cfg):
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    image, transform = Image.fromarray(pixels), crops(cfg)
    before = random.getstate(), torch.get_rng_state()
    one, same, other = (seeded(transform, image, *key) for key in ((1, 2), (1, 2), (1, 3)))
    assert [tuple(view.shape) for view in one] == [(3, 24, 24)] * 2 + [(3, 16, 16)] * 3
    assert all(torch.equal(a, b) for a, b in zip(one, same))
    assert not any(torch.equal(a, b) for a, b in zip(one, other))
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])
    cfg.INPUT.TRANSFORMS = ["normalize"]
    plain = Image.new("RGB", (24, 24), (255, 255, 255))  # white stays white whatever the crop
    views = seeded(crops(cfg), plain, 5)
    white = (1 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.3, 0.4])
    assert any(torch.allclose(view, white[:, None, None].expand_as(view), atol=0.02) for view in views)


def test_scores_are_of_the_nearest_other_image(objective):
    features = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 2.0], [1.0, 1.1]])
    labels = torch.tensor([2, 0, 1, 1, 0])
    found = torch.cat([objective.scores(features, labels, rows) for rows in torch.arange(5).split(2)]).argmax(1)
    assert found.tolist() == [0, 2, 1, 1, 1]
