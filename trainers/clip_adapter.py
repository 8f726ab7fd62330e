"""CLIP-Adapter: a bottleneck on the image feature, mixed with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from imo.errors import InputError
from imo.trainers.base import GradientMethod, Task, TextClassifier, Training, method


@method
class CLIPAdapter(GradientMethod):
    """`exp(logit_scale) cos(alpha a(f) + (1 - alpha) f, t)` with `a(f) = relu(relu(f D^T) U^T)`; D and U are learnt.

    Gao et al., "CLIP-Adapter: Better Vision-Language Models with Feature Adapters", IJCV 2023,
    https://arxiv.org/abs/2110.04544. The adapter on image features, without biases, with a relu at the end too, as in
    the published code, which is a trainer for CoOp (so its SGD 0.002, batch 32, cosine, the last epoch) with alpha 0.2.
    The paper searches alpha; so does this, on validation images (same views, same start), and takes 0.2 where there are
    none.

    Deviations: stored views in place of fresh ones; float32.

    Args:
        reduction: feature size over hidden size.
        ratios: values of alpha to choose from on validation images; the first without them.
        training: how it is trained.
    """

    down: torch.Tensor  # D (hidden, d)
    up: torch.Tensor  # U (d, hidden)

    def __init__(
        self, reduction: int = 4, ratios: Sequence[float] = (0.2, 0.4, 0.6, 0.8), training: Training | None = None
    ) -> None:
        super().__init__(training)
        if not ratios or not all(0 <= ratio <= 1 for ratio in ratios):
            raise InputError(f"ratios: expected shares from 0 to 1, got {ratios}")
        if reduction < 1:
            raise InputError(f"reduction: expected at least 1, got {reduction}")
        self.reduction, self.ratios = reduction, tuple(ratios)

    def fit(self, task: Task) -> None:
        if task.leaves_one_out or len(self.ratios) == 1:
            self.train_with(task, self.ratios[0])
            return
        found = []
        for ratio in self.ratios:
            self.train_with(task, ratio)
            found.append((self.accuracy(task.tuning), dict(self.settings), self.down.clone(), self.up.clone()))
        accuracy, settings, self.down, self.up = max(found, key=lambda trained: trained[0])  # the first of the best
        self.keep(task.tuning, settings, accuracy)

    def train_with(self, task: Task, ratio: float) -> None:
        """Learn the bottleneck for one alpha."""
        size = task.text.weights.shape[1]
        hidden, generator = max(size // self.reduction, 1), self.generator(task)
        # The start of torch.nn.Linear: uniform within 1 / sqrt(inputs).
        self.down = torch.empty(hidden, size).uniform_(-(size**-0.5), size**-0.5, generator=generator)
        self.up = torch.empty(size, hidden).uniform_(-(hidden**-0.5), hidden**-0.5, generator=generator)
        self.settings["alpha"] = ratio
        self.optimise(task, "down", "up")

    def scores(self, text: TextClassifier, *inputs: torch.Tensor) -> torch.Tensor:
        features, alpha = inputs[0], self.settings["alpha"]
        adapted = F.relu(F.relu(features @ self.down.T) @ self.up.T)
        return text.logit_scale * F.normalize(alpha * adapted + (1 - alpha) * features, dim=-1) @ text.weights.T

    def restrict(self, classes: torch.Tensor) -> None:
        """There is nothing to restrict."""
