"""CoCoOp: a learnt context that each image shifts."""

import torch
import torch.nn.functional as F
from dassl.engine import TRAINER_REGISTRY
from yacs.config import CfgNode

from imo.model.prompts import ConditionalPromptLearner, encode_prompts
from imo.trainers.base.prompting import PromptTrainer


def extend_cfg(cfg):
    """The trainer's own options, with CoOp's names and defaults."""
    cfg.TRAINER.COCOOP = CfgNode()
    cfg.TRAINER.COCOOP.N_CTX = 16  # number of context vectors
    cfg.TRAINER.COCOOP.CTX_INIT = ""  # words that the context begins with
    cfg.TRAINER.COCOOP.PREC = "fp16"  # fp16, fp32, amp


@TRAINER_REGISTRY.register()
class CoCoOp(PromptTrainer):
    """Conditional context optimisation: a small network turns the image feature into a shift of CoOp's context.

    Zhou et al., "Conditional Prompt Learning for Vision-Language Models", CVPR 2022, https://arxiv.org/abs/2203.05557.
    Theirs: 4 vectors that begin as "a photo of a", SGD 2e-3, cosine, one warm-up epoch at 1e-5, batch 1, 10 epochs, the
    last. Every image has prompts of its own, so the text tower runs once an image. Deviations: PromptTrainer's, CoOp's.
    """

    node = "COCOOP"

    def build_prompt_learner(self):
        options = self.options
        return ConditionalPromptLearner(self.clip_model, self.dm.dataset.classnames, options.N_CTX, options.CTX_INIT)

    def similarities(self, features):
        rows = []
        for feature, shift in zip(features, self.learner.shifts(features)):
            texts = encode_prompts(self.clip_model, self.learner(shift), self.learner.ends)
            rows.append(F.normalize(texts, dim=-1) @ feature)
        return torch.stack(rows)
