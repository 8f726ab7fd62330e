"""LP++: a linear probe blended with the text classifier, with step sizes from the data."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from imo.classify.probes import blended_logits, class_sums, mean_own_similarity, step_sizes
from imo.trainers.base import GradientMethod, Task, TextClassifier, method

ALPHA_EVERY = 10  # epochs between steps of the alphas


@method
class LPPlusPlus(GradientMethod):
    """`f (w_c + alpha_c t_c)`: full-batch gradient descent on w and, every tenth epoch, on alpha.

    Huang, Shakeri et al., "LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP", CVPR 2024,
    https://arxiv.org/abs/2404.02285. No learning rate to set: steps are inverse bounds of the curvature
    (imo.classify.probes), for w with momentum 0.9; OPTIM.LR is not read. w starts at sums of class features, every
    alpha at 250 times the mean similarity of a class to its text. 300 epochs, the best on validation (TEST.FINAL_MODEL
    best_val).

    Deviations: the mean of the stored views stands for each image, where the published code draws one view; there is no
    bias, as in the paper; 250 is 2.5 exp(logit_scale), so that other temperatures than CLIP's 100 fit; the gradient of
    alpha is that of the epoch (the published code never clears it, so that it sums over all epochs so far).
    """

    def fit(self, task: Task) -> None:
        text, labels, features = task.text, task.labels, F.normalize(task.keys, dim=-1)
        self.classifier = text.weights
        self.weights = class_sums(features, labels, len(text))
        alpha = 2.5 * text.logit_scale * mean_own_similarity(features, labels, text.weights)
        self.alphas = torch.full((len(text),), alpha)
        step, alpha_step = step_sizes(features, text.weights)
        optimizer = torch.optim.SGD([self.weights], step, momentum=0.9)
        for epoch in self.epochs(task, "weights", "alphas"):
            loss = F.cross_entropy(self.scores(text, features), labels)
            self.alphas.grad = None
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if epoch % ALPHA_EVERY == 0:
                gradient = self.alphas.grad
                assert gradient is not None
                self.alphas.data -= alpha_step * gradient

    def scores(self, text: TextClassifier, *inputs: torch.Tensor) -> torch.Tensor:
        return blended_logits(F.normalize(inputs[0], dim=-1), self.weights, self.alphas, self.classifier)

    def restrict(self, classes: torch.Tensor) -> None:
        self.classifier, self.weights = self.classifier[classes], self.weights[classes]
        self.alphas = self.alphas[classes]
