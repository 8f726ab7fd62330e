"""TaskRes: a residual on the text classifier, learnt."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from imo.trainers.base import GradientMethod, Task, TextClassifier, Training, method


@method
class TaskRes(GradientMethod):
    """`exp(logit_scale) cos(f, T + alpha R)` with R learnt from zero; T are text features, alpha is fixed.

    Yu et al., "Task Residual for Tuning Vision-Language Models", CVPR 2023, https://arxiv.org/abs/2211.10277. The
    regular base. Theirs: Adam, batch 256, 100 epochs up to 4 shots and 200 from 8 shots, learning rate 2e-3 (2e-4 on
    ImageNet), alpha 0.5 (1 on Flowers102), the last epoch. T is the mean over templates of features that are not
    normalised, whose length the step size goes with.

    Deviations: stored views in place of fresh ones; float32.

    Args:
        residual_scale: alpha.
        training: how it is trained.
    """

    def __init__(self, residual_scale: float = 0.5, training: Training | None = None) -> None:
        super().__init__(training)
        self.residual_scale = residual_scale

    def fit(self, task: Task) -> None:
        self.base_weights = task.text.unnormalised
        self.residual = torch.zeros_like(self.base_weights)
        self.settings["alpha"] = self.residual_scale
        self.optimise(task, "residual")

    def scores(self, text: TextClassifier, *inputs: torch.Tensor) -> torch.Tensor:
        weights = self.base_weights + self.settings["alpha"] * self.residual
        return text.logit_scale * F.normalize(inputs[0], dim=-1) @ F.normalize(weights, dim=-1).T

    def restrict(self, classes: torch.Tensor) -> None:
        self.base_weights, self.residual = self.base_weights[classes], self.residual[classes]
