"""Schedules with warm-up, on whichever Dassl and PyTorch there are."""

import io
from math import cos, pi

import pytest
import torch
from dassl.config import get_cfg_default
from torch import nn

from imo.trainers.base.schedule import build_schedule


def schedule(**options):
    cfg = get_cfg_default().OPTIM
    for key, value in {"LR": 0.02, "WARMUP_TYPE": "constant", **options}.items():
        cfg[key] = value
    cfg.freeze()
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=cfg.LR)
    return optimizer, build_schedule(optimizer, cfg)


def rates(optimizer, scheduler, epochs):
    seen = []
    for _ in range(epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


COSINE = [0.01 * (1 + cos(pi * epoch / 4)) for epoch in range(4)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"WARMUP_EPOCH": 1}, [1e-5, *COSINE]),
        ({"WARMUP_EPOCH": 4, "WARMUP_TYPE": "linear"}, [1e-5, 0.005, 0.01, 0.015, *COSINE]),
        ({}, COSINE),
    ],
)
def test_rates(options, expected):
    found = rates(*schedule(LR_SCHEDULER="cosine", MAX_EPOCH=4, **options), len(expected))
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_checkpoint_of_a_warm_up_is_loaded_without_objects():
    options = {"LR_SCHEDULER": "multi_step", "STEPSIZE": (2, 3), "WARMUP_EPOCH": 2}
    first, file = schedule(**options), io.BytesIO()
    rates(*first, 3)
    torch.save(first[1].state_dict(), file)
    file.seek(0)
    second = schedule(**options)
    second[0].load_state_dict(first[0].state_dict())
    second[1].load_state_dict(torch.load(file, weights_only=True))
    assert rates(*second, 3) == rates(*first, 3) == pytest.approx([0.02, 0.002, 0.0002])
