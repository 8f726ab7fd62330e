"""CoCoOp: a learnt prompt context, shifted by each image."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from dassl.engine import TRAINER_REGISTRY
from yacs.config import CfgNode

from imo.model.prompts import ConditionalPromptLearner, encode_prompts
from imo.trainers.base.prompting import PromptTrainer


def extend_cfg(cfg: CfgNode) -> None:
    """Add the node TRAINER.COCOOP, with the published code's names and defaults, to a config."""
    cfg.TRAINER.COCOOP = CfgNode()
    cfg.TRAINER.COCOOP.N_CTX = 16  # number of context vectors
    cfg.TRAINER.COCOOP.CTX_INIT = ""  # words that the context begins with
    cfg.TRAINER.COCOOP.PREC = "fp16"  # fp16, fp32, amp


@TRAINER_REGISTRY.register()
class CoCoOp(PromptTrainer):
    """Conditional context optimisation: a small network turns each image's feature into a vector that is added to all
    of CoOp's context vectors. Every image has prompts of its own, so the text encoder runs once for each image.

    Zhou et al., "Conditional Prompt Learning for Vision-Language Models", CVPR 2022, https://arxiv.org/abs/2203.05557.
    The authors' settings: 4 vectors that begin as "a photo of a"; SGD, learning rate 2e-3 with a cosine schedule after
    one warm-up epoch at 1e-5, batch 1; 10 epochs, of which the last is tested. Differences from the published code:
    those of `CoOp`.
    """

    node = "COCOOP"

    def build_prompt_learner(self) -> ConditionalPromptLearner:
        """Random or given context vectors, and the network that shifts them."""
        options = self.options
        return ConditionalPromptLearner(self.clip_model, self.dm.dataset.classnames, options.N_CTX, options.CTX_INIT)

    def similarities(self, features: torch.Tensor) -> torch.Tensor:
        """Cosine similarities (B, C) of each image to its own texts."""
        rows = []
        for feature, shift in zip(features, cast("ConditionalPromptLearner", self.learner).shifts(features)):
            texts = encode_prompts(self.clip_model, self.learner(shift), self.learner.ends)
            rows.append(F.normalize(texts, dim=-1) @ feature)
        return torch.stack(rows)
