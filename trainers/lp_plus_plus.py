"""LP++: a linear probe blended with the text classifier, with step sizes from the data."""

import torch
import torch.nn.functional as F
from dassl.engine import TRAINER_REGISTRY

from imo.classify.probes import blended_logits, class_sums, mean_own_similarity, step_sizes
from imo.trainers.base.gradient import GradientTrainer

ALPHA_EVERY = 10  # epochs between steps of the alphas


@TRAINER_REGISTRY.register()
class LPPlusPlus(GradientTrainer):
    """`f (w_c + alpha_c t_c)`: full-batch gradient descent on w and, every tenth epoch, on alpha.

    Huang, Shakeri et al., "LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP", CVPR 2024,
    https://arxiv.org/abs/2404.02285. No learning rate to set: steps are inverse bounds of the curvature
    (imo.classify.probes), for w with momentum 0.9; OPTIM.LR is not read. w starts at sums of class features, every alpha at 250 times the
    mean similarity of a class to its text. 300 epochs, the best on validation (TEST.FINAL_MODEL best_val).

    Deviations: the mean of the stored views stands for each image, where the published code draws one view; there is no
    bias, as in the paper; 250 is 2.5 exp(logit_scale), so that other temperatures than CLIP's 100 fit; the gradient of
    alpha is that of the epoch (the published code never clears it, so that it sums over all epochs so far).
    """

    def fit(self):
        state, labels = self.state, self.support_labels()
        features = F.normalize(self.support_features(), dim=-1)
        state.classifier = self.classifier
        state.weights = class_sums(features, labels, self.num_classes)
        alpha = 2.5 * self.logit_scale * mean_own_similarity(features, labels, self.classifier)
        state.alphas = torch.full((self.num_classes,), alpha)
        step, alpha_step = step_sizes(features, self.classifier)
        print(f"LP++: alpha {alpha:.4g} at first; steps {step:.4g} (weights), {alpha_step:.4g} (alphas)")
        optim = torch.optim.SGD([state.weights], step, momentum=0.9)
        for epoch in self.epochs("weights", "alphas"):
            loss = F.cross_entropy(self.scores(features), labels)
            state.alphas.grad = None
            optim.zero_grad()
            loss.backward()
            optim.step()
            if epoch % ALPHA_EVERY == 0:
                with torch.no_grad():
                    state.alphas -= alpha_step * state.alphas.grad

    def scores(self, features):
        state = self.state
        return blended_logits(F.normalize(features, dim=-1), state.weights, state.alphas, state.classifier)

    def restrict(self, source_classes):
        for name in ("classifier", "weights", "alphas"):
            setattr(self.state, name, getattr(self.state, name)[source_classes])
