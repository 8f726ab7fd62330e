"""ProKeR: the zero-shot classifier, mended by kernel ridge regression on the support set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from imo.classify.kernel_ridge import KernelRidge
from imo.trainers.base import Method, Queries, Task, cache_method

BETAS = tuple(np.geomspace(0.1, 10, 9).tolist())
RIDGES = tuple(np.geomspace(0.001, 1000, 19).tolist())


@cache_method
class ProKeR(Method):
    """Training-free ProKeR: `z + k(u, U) (K + lambda I)^-1 (Y - z(S))` with the kernel `exp(-beta (1 - u U^T))`.

    Bendou et al., "ProKeR: A Kernel Perspective on Few-Shot Adaptation of Large Vision-Language Models", CVPR 2025,
    https://arxiv.org/abs/2501.11175. z are cosine similarities to the text, without CLIP's scale, and always of CLIP's
    own features; Y is one-hot; K is the kernel of the keys U, which are CLIP's own features or corrected ones.

    Deviations: keys are means over augmented views as in the other cache methods, where the authors' code takes every
    view as a key. Their code multiplies the second term by lambda, the formula does not, nor do we. Their grids (for
    most sets beta 0.1 to 10, lambda 0.001 to 10) are linear; ours is logarithmic, wider for lambda as it also has to
    set the size of the term, and all lambdas come from one factorisation for each beta.
    """

    reads_both = True  # the text looks at CLIP's own features of the support set
    # As strong as the authors' 3 and 0.05 (ImageNet, one shot), in their scaling, where K is near I.
    one_shot = {"beta": 3.0, "ridge": 20.0}

    def fit(self, task: Task) -> None:
        self.keys = F.normalize(task.corrected_keys, dim=-1)
        if task.tunable:
            self.choose(task.tuning, self.candidates(task))
        else:
            self.keep_one_shot()
        regression = self.regression(task, self.settings["beta"])
        self.coefficients = regression.coefficients(self.settings["ridge"]).float()

    def candidates(self, task: Task) -> Iterator[tuple[dict[str, float], torch.Tensor]]:
        """Yields every setting, with its logits for the tuning queries."""
        queries = task.tuning
        cosine = queries.zero_shot_logits().double() / queries.text.logit_scale
        for beta in BETAS:
            regression, kernel = self.regression(task, beta), self.kernel(queries.corrected, beta)
            for ridge in RIDGES:
                yield {"beta": beta, "ridge": ridge}, cosine + regression.predict(kernel, ridge, queries.own_keys)

    def regression(self, task: Task, beta: float) -> KernelRidge:
        """The regression, on the keys, of what zero-shot CLIP lacks to the labels."""
        cosine = F.normalize(task.keys, dim=-1) @ task.text.weights.T
        lacking = F.one_hot(task.labels, len(task.text)) - cosine.double()
        return KernelRidge(self.kernel(self.keys, beta), lacking)

    def kernel(self, features: torch.Tensor, beta: float) -> torch.Tensor:
        """Kernel between features and keys. (N, d) -> (N, M) float64."""
        return torch.exp(-beta * (1 - F.normalize(features, dim=-1).double() @ self.keys.double().T))

    def logits(self, queries: Queries) -> torch.Tensor:
        kernel = self.kernel(queries.corrected, self.settings["beta"]).float()
        return queries.zero_shot_logits() / queries.text.logit_scale + kernel @ self.coefficients

    def restrict(self, classes: torch.Tensor) -> None:
        self.coefficients = self.coefficients[:, classes]  # a class is a column of the regression; all keys stay
