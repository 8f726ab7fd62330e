"""Tip-X and Tip-X++: Tip-Adapter and a second affinity, by text: the KL divergence between class distributions."""

from __future__ import annotations

import torch

from imo.classify.kl import Phi, class_probabilities, kl_scores
from imo.trainers.base import Queries, Task, method
from imo.trainers.tip_adapter import TipAdapter


@method
class TipX(TipAdapter):
    """Training-free Tip-X: logits `Z + alpha exp(-beta (1 - f F^T)) L + gamma phi(-KL) L`.

    Udandarao et al., "SuS-X: Training-Free Name-Only Transfer of Vision-Language Models", ICCV 2023,
    https://arxiv.org/abs/2211.16198. The first two terms are Tip-Adapter's. `KL_ij` is the divergence between the class
    distributions softmax(f W^T / 0.5) of query i and key j, always on CLIP's own features; phi rescales it to the range
    of the affinity `f F^T`.

    Args:
        search: as for Tip-Adapter.
        phi: "paper" takes both ranges over all test queries, as the published code does: the prediction for one image
            then depends on the others (the method is transductive). "inductive" keeps the ranges of the tuning queries.
    """

    reads_both = True
    one_shot = {**TipAdapter.one_shot, "gamma": 0.1}  # where the authors' search starts

    def __init__(self, search: str = "grid", phi: str = "paper") -> None:
        super().__init__(search)
        self.phi = phi

    @property
    def transductive(self) -> bool:
        return self.phi == "paper"

    def fit(self, task: Task) -> None:
        self.probabilities = class_probabilities(task.keys, task.text.weights)
        super().fit(task)

    def logits(self, queries: Queries) -> torch.Tensor:
        phi = self.ranges(queries) if self.phi == "paper" else Phi(*self.phi_ranges.tolist())
        return super().logits(queries) + self.settings["gamma"] * self.kl_scores(queries, phi)

    def restrict(self, classes: torch.Tensor) -> None:
        # A softmax restricted to some classes and rescaled to sum 1 is the softmax over these classes.
        probabilities = self.probabilities[self.keep_keys(classes)][:, classes]
        self.probabilities = probabilities / probabilities.sum(1, keepdim=True)

    def fit_kl(self, queries: Queries) -> torch.Tensor:
        phi = self.ranges(queries)
        self.phi_ranges = torch.tensor([phi.kl_low, phi.kl_high, phi.low, phi.high])
        return self.kl_scores(queries, phi)

    def ranges(self, queries: Queries) -> Phi:
        """The ranges of KL and affinity between queries and keys."""
        probabilities = class_probabilities(queries.features, queries.text.weights)
        return Phi.fit(self.cache(queries.text), queries.corrected, probabilities, self.probabilities, queries.own_keys)

    def kl_scores(self, queries: Queries, phi: Phi) -> torch.Tensor:
        """(N, C) `phi(-KL) L`."""
        probabilities = class_probabilities(queries.features, queries.text.weights)
        return kl_scores(self.cache(queries.text), probabilities, self.probabilities, phi, queries.own_keys)


@method
class TipXPP(TipX):
    """Tip-X++: logits `Z + alpha exp(-beta (1 - u U^T)) L + gamma phi(-KL) L`.

    Tip-X whose image affinity is taken between corrected features u of the query and U of the support set: those of
    CLIP's visual encoder with the adapters that reduce intra-modal overlap. phi takes the range of `u U^T`; KL and the
    zero-shot logits Z stay on CLIP's own features. Kravets & Namboodiri, "CLIP Adaptation by Intra-Modal Overlap
    Reduction", BMVC 2024, section 3.3, https://arxiv.org/abs/2409.11338.
    """

    correction = "adapter"
    base = TipX
