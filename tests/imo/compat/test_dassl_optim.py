from __future__ import annotations

from math import cos, pi

import pytest
import torch
from dassl.config import get_cfg_default
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.optim.lr_scheduler import ConstantWarmupScheduler, LinearWarmupScheduler
from torch import nn


def rates(epochs, **options):
    cfg = get_cfg_default().OPTIM
    cfg.NAME, cfg.LR = "sgd", 0.02
    for key, value in options.items():
        cfg[key] = value
    optimizer = build_optimizer(nn.Linear(2, 2), cfg)
    scheduler = build_lr_scheduler(optimizer, cfg)
    seen = []
    for _ in range(epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        assert scheduler.get_last_lr() == [seen[-1]]
        optimizer.step()
        scheduler.step()
    return pytest.approx(seen, rel=1e-9, abs=1e-12)


def test_constant_warmup_before_cosine():
    options = {"LR_SCHEDULER": "cosine", "MAX_EPOCH": 4, "WARMUP_EPOCH": 1, "WARMUP_TYPE": "constant"}
    half = 2**0.5 / 2
    assert [1e-5, 0.02, 0.01 * (1 + half), 0.01, 0.01 * (1 - half)] == rates(5, **options)


def test_linear_warmup_before_single_step():
    options = {"LR_SCHEDULER": "single_step", "STEPSIZE": (2,), "WARMUP_EPOCH": 4, "WARMUP_TYPE": "linear"}
    assert rates(9, **options) == [1e-5, 0.005, 0.01, 0.015, 0.02, 0.02, 0.002, 0.002, 0.0002]


def test_warmup_counted_into_the_schedule():
    options = {"WARMUP_EPOCH": 2, "WARMUP_TYPE": "constant", "WARMUP_RECOUNT": False}
    steps = rates(6, LR_SCHEDULER="multi_step", STEPSIZE=(3, 5), **options)
    assert steps == [1e-5, 1e-5, 0.02, 0.002, 0.002, 0.0002]
    # The cosine goes on from the full rate by the ratio of its values at the epochs counted from the start.
    factor = 0.02 / (1 + cos(pi * 2 / 6))
    cosine = [factor * (1 + cos(pi * epoch / 6)) for epoch in (2, 3, 4, 5)]
    assert [1e-5, 1e-5, *cosine] == rates(6, LR_SCHEDULER="cosine", MAX_EPOCH=6, **options)


@pytest.mark.parametrize("linear, second", [(False, (1e-5, 1e-5)), (True, (0.01, 0.001))])
def test_warmup_of_groups_by_upstream_s_class_names(linear, second):
    """The small rate is the same for all groups, whatever their own."""
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [parameter], "lr": rate} for parameter, rate in zip(parameters, (0.02, 0.002), strict=True)]
    optimizer = torch.optim.SGD(groups)
    after = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    if linear:
        scheduler = LinearWarmupScheduler(optimizer, after, warmup_epoch=2, min_lr=1e-5)
    else:
        scheduler = ConstantWarmupScheduler(optimizer, after, warmup_epoch=2, cons_lr=1e-5)
    for expected in ((1e-5, 1e-5), second, (0.02, 0.002), (0.01, 0.001)):
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_without_warmup():
    assert rates(4, MAX_EPOCH=3) == [0.02, 0.02, 0.02, 0.002]
    assert rates(4, LR_SCHEDULER="multi_step", STEPSIZE=(1, 3), GAMMA=0.5) == [0.02, 0.01, 0.01, 0.005]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"LR_SCHEDULER": "linear"}, ValueError),
        ({"STEPSIZE": (1.5,)}, TypeError),
        ({"LR_SCHEDULER": "multi_step", "STEPSIZE": 3}, TypeError),
        ({"WARMUP_EPOCH": 1, "WARMUP_TYPE": "sudden"}, ValueError),
        ({"NAME": "lion"}, ValueError),
    ],
)
def test_wrong_settings(options, error):
    with pytest.raises(error):
        rates(1, **options)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.999), "amsgrad": False}),
        ("amsgrad", torch.optim.Adam, {"betas": (0.8, 0.999), "amsgrad": True}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": False}),
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0.9, "alpha": 0.99}),
        ("radam", torch.optim.RAdam, {"betas": (0.8, 0.999), "decoupled_weight_decay": True}),
        ("adamw", torch.optim.AdamW, {"betas": (0.8, 0.999)}),
    ],
)
def test_optimizers(name, kind, options):
    cfg = get_cfg_default().OPTIM
    cfg.NAME, cfg.ADAM_BETA1 = name, 0.8
    optimizer = build_optimizer(nn.Linear(2, 2), cfg)
    assert type(optimizer) is kind
    for key, value in {"lr": 0.0003, "weight_decay": 5e-4, **options}.items():
        assert optimizer.defaults[key] == value


def test_staged_rates():
    cfg = get_cfg_default().OPTIM
    cfg.STAGED_LR, cfg.NEW_LAYERS, cfg.LR = True, ("1",), 0.1
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    base, new = build_optimizer(model, cfg).param_groups
    assert base["lr"] == pytest.approx(0.01) and base["params"] == list(model[0].parameters())
    assert new["lr"] == 0.1 and new["params"] == list(model[1].parameters())
    with pytest.raises(TypeError):
        build_optimizer(model.parameters(), cfg)
    with pytest.warns(UserWarning, match="ignored"):
        (group,) = build_optimizer(model, cfg, [{"params": [model[0].weight]}]).param_groups
    assert group["lr"] == 0.1
