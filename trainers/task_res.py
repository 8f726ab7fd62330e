"""TaskRes: a residual on the text classifier, learnt."""

import torch
import torch.nn.functional as F
from dassl.engine import TRAINER_REGISTRY
from yacs.config import CfgNode

from imo.trainers.base.gradient import GradientTrainer


def extend_cfg(cfg):
    """The trainer's own options."""
    cfg.TRAINER.TASKRES = CfgNode()
    cfg.TRAINER.TASKRES.RESIDUAL_SCALE = 0.5  # alpha


@TRAINER_REGISTRY.register()
class TaskRes(GradientTrainer):
    """`exp(logit_scale) cos(f, T + alpha R)` with R learnt from zero; T are text features, alpha is fixed.

    Yu et al., "Task Residual for Tuning Vision-Language Models", CVPR 2023, https://arxiv.org/abs/2211.10277. The
    regular base. Theirs: Adam, batch 256, 100 epochs up to 4 shots and 200 from 8 shots, learning rate 2e-3 (2e-4 on
    ImageNet), alpha 0.5 (1 on Flowers102), the last epoch. T is the mean over templates of features that are not
    normalised, whose length the step size goes with.

    Deviations: stored views in place of fresh ones; float32.
    """

    def fit(self):
        self.state.base = self.text_features()
        self.state.residual = torch.zeros_like(self.state.base)
        self.state.set(alpha=self.cfg.TRAINER.TASKRES.RESIDUAL_SCALE)
        self.optimise("residual")

    def scores(self, features):
        weights = self.state.base + self.state.settings()["alpha"] * self.state.residual
        return self.logit_scale * F.normalize(features, dim=-1) @ F.normalize(weights, dim=-1).T

    def restrict(self, source_classes):
        self.state.base = self.state.base[source_classes]
        self.state.residual = self.state.residual[source_classes]
