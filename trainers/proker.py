"""ProKeR: the zero-shot classifier, mended by kernel ridge regression on the support set."""

import numpy as np
import torch
import torch.nn.functional as F

from imo.classify.kernel_ridge import KernelRidge
from imo.trainers.base.training_free import TrainingFreeTrainer, cache_method

BETAS = tuple(np.geomspace(0.1, 10, 9).tolist())
RIDGES = tuple(np.geomspace(0.001, 1000, 19).tolist())


@cache_method
class ProKeR(TrainingFreeTrainer):
    """Training-free ProKeR: `z + k(u, U) (K + lambda I)^-1 (Y - z(S))` with the kernel `exp(-beta (1 - u U^T))`.

    Bendou et al., "ProKeR: A Kernel Perspective on Few-Shot Adaptation of Large Vision-Language Models", CVPR 2025,
    https://arxiv.org/abs/2501.11175. z are cosine similarities to the text, without CLIP's scale, and always of CLIP's
    own features; Y is one-hot; K is the kernel of the keys U, which are CLIP's own features or corrected ones.

    Deviations: keys are means over augmented views as in the other cache methods, where the authors' code takes every
    view as a key. Their code multiplies the second term by lambda, the formula does not, nor do we. Their grids (for
    most sets beta 0.1 to 10, lambda 0.001 to 10) are linear; ours is logarithmic, wider for lambda as it also has to
    set the size of the term, and all lambdas come from one factorisation for each beta.
    """

    # As strong as the authors' 3 and 0.05 (ImageNet, one shot), in their scaling, where K is near I.
    one_shot = {"beta": 3.0, "ridge": 20.0}

    def fit(self):
        self.views.both = ("test", "train")  # the text looks at CLIP's own features
        self.state.keys = F.normalize(self.corrected_support_features(), dim=-1)
        if self.tunable:
            with self.stage("search"):
                self.choose(self.tuning_split, self.candidates(self.tuning_split))
        else:
            self.keep_one_shot_setting()
        settings = self.state.settings()
        self.state.coefficients = self.regression(settings["beta"]).coefficients(settings["ridge"]).float()

    def candidates(self, split):
        """Yields every setting, with its logits on a split."""
        cosine, own_keys = self.zero_shot_logits(split).double() / self.logit_scale, self.own_keys(split)
        for beta in BETAS:
            regression, kernel = self.regression(beta), self.kernel(self.corrected_features(split), beta)
            for ridge in RIDGES:
                yield {"beta": beta, "ridge": ridge}, cosine + regression.predict(kernel, ridge, own_keys)

    def regression(self, beta):
        """The regression, on the keys, of what zero-shot CLIP lacks to the labels."""
        cosine = F.normalize(self.support_features(), dim=-1) @ self.classifier.T
        lacking = F.one_hot(self.support_labels(), self.num_classes) - cosine.double()
        return KernelRidge(self.kernel(self.state.keys, beta), lacking)

    def kernel(self, queries, beta):
        """(N, M) float64."""
        return torch.exp(-beta * (1 - F.normalize(queries, dim=-1).double() @ self.state.keys.double().T))

    def logits(self, split):
        kernel = self.kernel(self.corrected_features(split), self.state.settings()["beta"]).float()
        return self.zero_shot_logits(split) / self.logit_scale + kernel @ self.state.coefficients

    def restrict(self, source_classes):
        """A class is a column of the regression; all keys stay."""
        self.state.coefficients = self.state.coefficients[:, source_classes]
