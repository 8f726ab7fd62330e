"""CLIP-Adapter: a bottleneck on the image feature, mixed with it."""

import torch
import torch.nn.functional as F
from dassl.engine import TRAINER_REGISTRY
from yacs.config import CfgNode

from imo.errors import InputError
from imo.trainers.base.gradient import GradientTrainer


def extend_cfg(cfg):
    """The trainer's own options."""
    cfg.TRAINER.CLIPADAPTER = CfgNode()
    cfg.TRAINER.CLIPADAPTER.REDUCTION = 4  # feature size over hidden size
    # Shares of the bottleneck to choose from on validation; the first without validation images.
    cfg.TRAINER.CLIPADAPTER.RATIOS = (0.2, 0.4, 0.6, 0.8)


@TRAINER_REGISTRY.register()
class CLIPAdapter(GradientTrainer):
    """`exp(logit_scale) cos(alpha a(f) + (1 - alpha) f, t)` with `a(f) = relu(relu(f D^T) U^T)`; D and U are learnt.

    Gao et al., "CLIP-Adapter: Better Vision-Language Models with Feature Adapters", IJCV 2023,
    https://arxiv.org/abs/2110.04544. The adapter on image features, without biases, with a relu at the end too, as in
    the published code, which is a trainer for CoOp (so its SGD 0.002, batch 32, cosine, the last epoch) with alpha 0.2.
    The paper searches alpha; so does this, on validation images (same views, same start), and takes 0.2 where there are
    none.

    Deviations: stored views in place of fresh ones; float32.
    """

    def check_cfg(self, cfg):
        super().check_cfg(cfg)
        ratios = cfg.TRAINER.CLIPADAPTER.RATIOS
        if not ratios or not all(0 <= ratio <= 1 for ratio in ratios):
            raise InputError(f"TRAINER.CLIPADAPTER.RATIOS: expected shares from 0 to 1, got {ratios}")
        if cfg.TRAINER.CLIPADAPTER.REDUCTION < 1:
            raise InputError(
                f"TRAINER.CLIPADAPTER.REDUCTION: expected at least 1, got {cfg.TRAINER.CLIPADAPTER.REDUCTION}"
            )

    def fit(self):
        ratios = self.cfg.TRAINER.CLIPADAPTER.RATIOS
        if self.tuning_split != "val" or len(ratios) == 1:
            self.train_with(ratios[0])
            return
        best, kept = -1.0, {}
        for ratio in ratios:
            self.train_with(ratio)
            accuracy = self.accuracy("val")
            print(f"alpha {ratio:g}: accuracy on validation {accuracy:.2f}%")
            if accuracy > best:
                best, kept = accuracy, {name: value.clone() for name, value in self.state.named_buffers()}
        self.state.load_state_dict(kept)
        self.val_accuracy = best

    def train_with(self, ratio):
        """Learn the bottleneck for one alpha."""
        size = self.classifier.shape[1]
        hidden, generator = max(size // self.cfg.TRAINER.CLIPADAPTER.REDUCTION, 1), self.generator()
        # The start of torch.nn.Linear: uniform within 1 / sqrt(inputs).
        self.state.down = torch.empty(hidden, size).uniform_(-(size**-0.5), size**-0.5, generator=generator)
        self.state.up = torch.empty(size, hidden).uniform_(-(hidden**-0.5), hidden**-0.5, generator=generator)
        self.state.set(alpha=ratio)
        self.optimise("down", "up")

    def scores(self, features):
        alpha = self.state.settings()["alpha"]
        adapted = F.relu(F.relu(features @ self.state.down.T) @ self.state.up.T)
        return self.logit_scale * F.normalize(alpha * adapted + (1 - alpha) * features, dim=-1) @ self.classifier.T

    def restrict(self, source_classes):
        """There is nothing to restrict."""
