"""CLAP: a linear probe that starts at the text classifier and is held there, class by class."""

import torch.nn.functional as F
from dassl.engine import TRAINER_REGISTRY

from imo.classify.probes import anchored_penalty, class_multipliers
from imo.trainers.base.gradient import GradientTrainer


@TRAINER_REGISTRY.register()
class CLAP(GradientTrainer):
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

    def fit(self):
        views, labels = self.support_views("clip"), self.support_labels()
        self.state.weights = self.text_features()
        anchors = self.state.weights.clone()
        self.state.multipliers = class_multipliers(
            self.scores(views.flatten(0, 1)), labels.repeat_interleave(views.shape[1])
        )
        self.optimise("weights", penalty=lambda: anchored_penalty(self.state.weights, anchors, self.state.multipliers))

    def scores(self, features):
        return self.logit_scale * F.normalize(features, dim=-1) @ F.normalize(self.state.weights, dim=-1).T

    def restrict(self, source_classes):
        self.state.weights = self.state.weights[source_classes]
        self.state.multipliers = self.state.multipliers[source_classes]
