"""Tip-Adapter-F: the keys of Tip-Adapter's cache, trained."""

import torch.nn.functional as F
from yacs.config import CfgNode

from imo.trainers.base.gradient import GradientTrainer
from imo.trainers.base.training_free import cache_method
from imo.trainers.tip_adapter import TipAdapter


def extend_cfg(cfg):
    """The trainer's own options."""
    cfg.TRAINER.TIPADAPTERF = CfgNode()
    cfg.TRAINER.TIPADAPTERF.ALPHA = 1.17  # in training; after it, alpha and beta are searched
    cfg.TRAINER.TIPADAPTERF.BETA = 1.0


@cache_method
class TipAdapterF(GradientTrainer, TipAdapter):
    """Tip-Adapter with its keys trained from where they are: AdamW, 20 epochs, alpha and beta searched afterwards.

    Zhang et al., "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification", ECCV 2022,
    https://arxiv.org/abs/2207.09519. Theirs: learning rate 1e-3, eps 1e-4, batch 256, cosine; 100 epochs on EuroSAT; in
    training, beta 1 and alpha 1.17 on ImageNet, 1 to 10 elsewhere.

    Deviations: the epoch is the best on validation (the published code takes the best on test, and then the better test
    accuracy of that and of the search); keys are normalised at every step, so that affinities stay cosines; stored
    views; the schedule steps once an epoch. Without validation images (protocol `support`) alpha and beta are those of
    Tip-Adapter by leave-one-out, searched before training (trained keys know every support image), and the last epoch
    counts.
    """

    correction = None
    logits = TipAdapter.logits  # `scores`, a part of the queries at a time

    def fit(self):
        state, options = self.state, self.cfg.TRAINER.TIPADAPTERF
        state.keys = F.normalize(self.corrected_support_features(), dim=-1)
        state.labels = self.support_labels()
        if self.tuning_split == "support":
            self.tune()
            self.optimise("keys", eps=1e-4)
        else:
            state.set(alpha=options.ALPHA, beta=options.BETA)
            self.optimise("keys", eps=1e-4)
            self.tune()

    def inputs(self, split):
        return self.zero_shot_logits(split), self.corrected_features(split)

    def training_inputs(self):
        views = self.support_views("clip")
        return self.logit_scale * F.normalize(views, dim=-1) @ self.classifier.T, self.corrected_support_views()

    def scores(self, zero_shot, queries):
        settings, cache = self.state.settings(), self.cache()
        return zero_shot + settings["alpha"] * cache.class_scores(cache.affinity(queries), settings["beta"])
