"""GDA: a Gaussian for each class of image features, beside the text classifier."""

import torch.nn.functional as F

from imo.classify.gaussian import SharedGaussian
from imo.trainers.base.training_free import TrainingFreeTrainer, cache_method

ALPHAS = tuple(10.0**power for power in range(-4, 3))


@cache_method
class GDA(TrainingFreeTrainer):
    """Training-free Gaussian discriminant analysis: `Z + alpha (u w + b)`, `w = P mu`, `b = -mu P mu / 2 - log C`.

    Wang et al., "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation", ICLR 2024,
    https://arxiv.org/abs/2402.04087. Every augmented view is a sample, as there; u and the views are CLIP's own
    features, or corrected ones. alpha is one of 10^-4 .. 10^2, as published, and the smallest of the best.
    """

    one_shot = {"alpha": 0.1}  # where the authors' search starts

    def fit(self):
        gaussian = SharedGaussian(self.corrected_support_views(), self.support_labels(), self.num_classes)
        self.state.weights, self.state.bias = gaussian.weights, gaussian.bias
        if not self.tunable:
            return self.keep_one_shot_setting()
        split = self.tuning_split
        zero_shot, queries = self.zero_shot_logits(split), self.corrected_features(split)
        with self.stage("search"):
            scores = gaussian.leave_one_out(queries) if split == "support" else gaussian.logits(queries)
            self.choose(split, (({"alpha": alpha}, zero_shot + alpha * scores) for alpha in ALPHAS))

    def logits(self, split):
        scores = F.normalize(self.corrected_features(split), dim=-1) @ self.state.weights.T + self.state.bias
        return self.zero_shot_logits(split) + self.state.settings()["alpha"] * scores

    def restrict(self, source_classes):
        self.state.weights, self.state.bias = self.state.weights[source_classes], self.state.bias[source_classes]
