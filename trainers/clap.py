"""CLAP: a linear probe that starts at the text classifier and is held there, class by class."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from imo.classify.probes import anchored_penalty, class_multipliers
from imo.trainers.base import GradientMethod, Task, TextClassifier, method


@method
class CLAP(GradientMethod):
    """`exp(logit_scale) cos(f, w_c)` under the penalty `mean_c lambda_c |w_c - t_c|^2`; no validation images are used.

    Silva-Rodriguez et al., "A Closer Look at the Few-Shot Adaptation of Large Vision-Language Models", CVPR 2024,
    https://arxiv.org/abs/2312.12730. w starts at the text features t (mean over templates, not normalised). lambda_c is
    the mean zero-shot probability of the true class on the views of the support set; it is the multiplier of an
    augmented Lagrangian and, as in the published experiments, stays as it begins. SGD 0.1, momentum 0.9, batch 256, 300
    epochs, the last counts. (Their trainer computes test accuracy after every batch; nothing is chosen by it.)

    Deviations: IMO.PASSES stored views (theirs: 20), of which an epoch takes one of each image, where theirs takes as
    many at random from all; float32. The strength of the penalty goes with the squared length of text features, which
    differs between backbones (glyph's is 14).
    """

    def fit(self, task: Task) -> None:
        views, labels = task.views, task.labels
        self.weights = task.text.unnormalised.clone()
        anchors = self.weights.clone()
        self.multipliers = class_multipliers(
            self.scores(task.text, views.flatten(0, 1)), labels.repeat_interleave(views.shape[1])
        )
        self.optimise(task, "weights", penalty=lambda: anchored_penalty(self.weights, anchors, self.multipliers))

    def scores(self, text: TextClassifier, *inputs: torch.Tensor) -> torch.Tensor:
        return text.logit_scale * F.normalize(inputs[0], dim=-1) @ F.normalize(self.weights, dim=-1).T

    def restrict(self, classes: torch.Tensor) -> None:
        self.weights, self.multipliers = self.weights[classes], self.multipliers[classes]
