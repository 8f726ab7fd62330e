"""Learning rates, and steps whose numbers are not finite."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from imo.errors import InputError
from imo.trainers.adapter.objectives import Objective
from imo.trainers.adapter.options import extend_cfg
from imo.trainers.adapter.progress import Progress
from imo.trainers.adapter.steps import Stepper, gradient_scaler, learning_rate

# isort: split
from dassl.config import get_cfg_default


def test_learning_rates():
    options = SimpleNamespace(WARMUP_EPOCHS=2, SCHEDULE="cosine")
    cfg = SimpleNamespace(OPTIM=SimpleNamespace(LR=8.0), TRAINER=SimpleNamespace(IMOADAPTER=options))
    rates = [learning_rate(cfg, step, 12, 2) for step in range(12)]
    half = [8 * (1 + np.cos(np.pi * k / 8)) / 2 for k in range(8)]
    np.testing.assert_allclose(rates, [2, 4, 6, 8, *half])
    options.SCHEDULE = "constant"
    assert [learning_rate(cfg, step, 12, 2) for step in range(12)] == [2, 4, 6, 8] + 8 * [8]


@pytest.mark.parametrize(
    "what, weight, rate, loss",
    [
        ("loss", 1.0, 0.1, lambda w: w.sum() * torch.inf),
        ("gradient", 0.0, 0.1, lambda w: w.sqrt().sum()),  # 0, with an infinite slope
        ("weight", 1.0, 3e38, lambda w: 10 * w.sum()),
    ],
)
def test_what_is_not_finite_is_named(what, weight, rate, loss):
    class Fails(Objective):
        def __init__(self, progress):
            super().__init__()
            self.student, self.progress = nn.Linear(1, 1, bias=False), progress
            nn.init.constant_(self.student.weight, weight)

        def loss(self, visual, views, labels, epoch):
            return loss(self.student.weight), {}

    cfg = get_cfg_default()
    extend_cfg(cfg)
    cfg.MODEL.BACKBONE.NAME, cfg.OPTIM.LR = "x", rate
    objective = Fails(Progress(gradient_scaler(cfg, torch.device("cpu")), {}))
    stepper = Stepper(cfg, objective, None, torch.optim.SGD(objective.parameters(), lr=0.0))
    batch = {"img": torch.zeros(2, 1), "label": torch.zeros(2, dtype=torch.int64)}
    with pytest.raises(InputError, match=f"the {what} is infinite or NaN in epoch 2, batch 6"):
        stepper(batch, 1, 5, 10)
