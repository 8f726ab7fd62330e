"""CoOp: one learnt context for all images."""

import torch.nn.functional as F
from dassl.engine import TRAINER_REGISTRY
from yacs.config import CfgNode

from imo.model.prompts import PromptLearner, encode_prompts
from imo.trainers.base.prompting import PromptTrainer


def extend_cfg(cfg):
    """The trainer's own options, with CoOp's names and defaults."""
    cfg.TRAINER.COOP = CfgNode()
    cfg.TRAINER.COOP.N_CTX = 16  # number of context vectors
    cfg.TRAINER.COOP.CSC = False  # class-specific context
    cfg.TRAINER.COOP.CTX_INIT = ""  # words that the context begins with
    cfg.TRAINER.COOP.PREC = "fp16"  # fp16, fp32, amp
    cfg.TRAINER.COOP.CLASS_TOKEN_POSITION = "end"  # end, middle or front


@TRAINER_REGISTRY.register()
class CoOp(PromptTrainer):
    """Context optimisation: the vectors before the class name are learnt through the text tower.

    Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022, https://arxiv.org/abs/2109.01134. Theirs:
    16 random vectors, SGD 2e-3, cosine, one warm-up epoch at 1e-5, batch 32; 50 epochs for 1 shot, 100 for 2 and 4, 200
    for 8 and 16, 50 on ImageNet; the last epoch. Deviations: PromptTrainer's; CTX_INIT gives a vector per token (the
    published code: per word, and the rest of the tokens is cut off).
    """

    node = "COOP"

    def build_prompt_learner(self):
        options = self.options
        if not options.CTX_INIT:
            print(f"Initializing {'class-specific contexts' if options.CSC else 'a generic context'}")
        return PromptLearner(
            self.clip_model,
            self.dm.dataset.classnames,
            options.N_CTX,
            options.CTX_INIT,
            options.CSC,
            options.CLASS_TOKEN_POSITION,
        )

    def similarities(self, features):
        texts = encode_prompts(self.clip_model, self.learner(), self.learner.ends)
        return features @ F.normalize(texts, dim=-1).T
