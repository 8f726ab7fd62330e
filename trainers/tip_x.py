"""Tip-X: Tip-Adapter and an affinity by text, the KL divergence between class distributions."""

import torch

from imo.classify.kl import Phi, class_probabilities, kl_scores
from imo.trainers.base.training_free import cache_method
from imo.trainers.tip_adapter import TipAdapter


@cache_method
class TipX(TipAdapter):
    """Training-free Tip-X: Tip-Adapter's logits `+ gamma phi(-KL) L`.

    Udandarao et al., "SuS-X: Training-Free Name-Only Transfer of Vision-Language Models", ICCV 2023,
    https://arxiv.org/abs/2211.16198. KL stays on CLIP's own features; phi's range comes from the (corrected) affinity.

    phi's ranges are taken over the whole test matrix by default (IMO.PHI paper), as in the published code: one test
    image's prediction then depends on the others. IMO.PHI inductive keeps the ranges found on validation.
    """

    one_shot = {**TipAdapter.one_shot, "gamma": 0.1}  # where the authors' search starts

    def fit(self):
        self.views.both = ("test", "train")  # KL stays on CLIP's own features
        self.state.probabilities = class_probabilities(self.support_features(), self.classifier)
        super().fit()

    def logits(self, split):
        return super().logits(split) + self.state.settings()["gamma"] * self.kl_scores(split)

    def restrict(self, source_classes):
        """KL is taken between distributions over the classes that stay: a softmax restricted and summed to one again is
        the softmax over them."""
        probabilities = self.state.probabilities[super().restrict(source_classes)][:, source_classes]
        self.state.probabilities = probabilities / probabilities.sum(1, keepdim=True)

    def kl_scores(self, split, fit=False):
        cache, own_keys = self.cache(), self.own_keys(split)
        probabilities = class_probabilities(self.features(split), self.classifier), self.state.probabilities
        if fit or self.cfg.IMO.PHI == "paper":
            phi = Phi.fit(cache, self.corrected_features(split), *probabilities, own_keys)
            if fit:
                self.state.phi = torch.tensor([phi.kl_low, phi.kl_high, phi.low, phi.high])
        else:
            phi = Phi(*self.state.phi.tolist())
        return kl_scores(cache, *probabilities, phi, own_keys)
