"""GDA: a Gaussian for each class of image features, beside the text classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from imo.classify.gaussian import SharedGaussian
from imo.trainers.base import Method, Queries, Task, cache_method

ALPHAS = tuple(10.0**power for power in range(-4, 3))


@cache_method
class GDA(Method):
    """Training-free Gaussian discriminant analysis: `Z + alpha (u w + b)`, `w = P mu`, `b = -mu P mu / 2 - log C`.

    Wang et al., "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation", ICLR 2024,
    https://arxiv.org/abs/2402.04087. Every augmented view is a sample, as there; u and the views are CLIP's own
    features, or corrected ones. alpha is one of 10^-4 .. 10^2, as published, and the smallest of the best.
    """

    one_shot = {"alpha": 0.1}  # where the authors' search starts

    def fit(self, task: Task) -> None:
        gaussian = SharedGaussian(task.corrected_views, task.labels, len(task.text))
        self.weights, self.bias = gaussian.weights, gaussian.bias
        if not task.tunable:
            self.keep_one_shot()
            return
        queries = task.tuning
        zero_shot, features = queries.zero_shot_logits(), queries.corrected
        scores = gaussian.leave_one_out(features) if task.leaves_one_out else gaussian.logits(features)
        self.choose(queries, (({"alpha": alpha}, zero_shot + alpha * scores) for alpha in ALPHAS))

    def logits(self, queries: Queries) -> torch.Tensor:
        scores: torch.Tensor = F.normalize(queries.corrected, dim=-1) @ self.weights.T + self.bias
        return queries.zero_shot_logits() + self.settings["alpha"] * scores

    def restrict(self, classes: torch.Tensor) -> None:
        self.weights, self.bias = self.weights[classes], self.bias[classes]
