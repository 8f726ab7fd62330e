"""Tip-Adapter-F: the keys of Tip-Adapter's cache, trained."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F

from imo.trainers.base import GradientMethod, Queries, Task, TextClassifier, Training, cache_method
from imo.trainers.tip_adapter import TipAdapter


@cache_method
class TipAdapterF(GradientMethod, TipAdapter):
    """Tip-Adapter with its keys trained from where they are: AdamW, 20 epochs, alpha and beta searched afterwards.

    Zhang et al., "Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification", ECCV 2022,
    https://arxiv.org/abs/2207.09519. Theirs: learning rate 1e-3, eps 1e-4, batch 256, cosine; 100 epochs on EuroSAT; in
    training, beta 1 and alpha 1.17 on ImageNet, 1 to 10 elsewhere.

    Deviations: the epoch is the best on validation (the published code takes the best on test, and then the better test
    accuracy of that and of the search); keys are normalised at every step, so that affinities stay cosines; stored
    views; the schedule steps once an epoch. Without validation images (protocol `support`) alpha and beta are those of
    Tip-Adapter by leave-one-out, searched before training (trained keys know every support image), and the last epoch
    counts.

    Args:
        alpha, beta: in training; after it, both are searched.
        search: as for Tip-Adapter.
        training: how the keys are trained.
    """

    correction: ClassVar[str | None] = None
    logits = TipAdapter.logits  # `scores`, a part of the queries at a time

    def __init__(
        self, alpha: float = 1.17, beta: float = 1.0, search: str = "grid", training: Training | None = None
    ) -> None:
        super().__init__(training)
        self.alpha, self.beta, self.search = alpha, beta, search

    def fit(self, task: Task) -> None:
        self.keys, self.labels = F.normalize(task.corrected_keys, dim=-1), task.labels
        if task.leaves_one_out:
            self.tune(task)
            self.optimise(task, "keys", eps=1e-4)
        else:
            self.settings.update(alpha=self.alpha, beta=self.beta)
            self.optimise(task, "keys", eps=1e-4)
            self.tune(task)

    def inputs(self, queries: Queries) -> tuple[torch.Tensor, ...]:
        return queries.zero_shot_logits(), queries.corrected

    def training_inputs(self, task: Task) -> tuple[torch.Tensor, ...]:
        return task.text.logits(task.views), task.corrected_views

    def scores(self, text: TextClassifier, *inputs: torch.Tensor) -> torch.Tensor:
        zero_shot, features = inputs
        cache = self.cache(text)
        return zero_shot + self.settings["alpha"] * cache.class_scores(cache.affinity(features), self.settings["beta"])
