"""CoOp: one learnt prompt context for all images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from dassl.engine import TRAINER_REGISTRY
from yacs.config import CfgNode

from imo.model.prompts import PromptLearner, encode_prompts
from imo.trainers.base.prompting import PromptTrainer


def extend_cfg(cfg: CfgNode) -> None:
    """Add the node TRAINER.COOP, with the published code's names and defaults, to a config."""
    cfg.TRAINER.COOP = CfgNode()
    cfg.TRAINER.COOP.N_CTX = 16  # number of context vectors
    cfg.TRAINER.COOP.CSC = False  # a context for each class
    cfg.TRAINER.COOP.CTX_INIT = ""  # words that the context begins with
    cfg.TRAINER.COOP.PREC = "fp16"  # fp16, fp32, amp
    cfg.TRAINER.COOP.CLASS_TOKEN_POSITION = "end"  # where the class name stands: end, middle or front


@TRAINER_REGISTRY.register()
class CoOp(PromptTrainer):
    """Context optimisation: prompts are learnt vectors and a class name; gradients reach the vectors through CLIP's
    frozen text encoder.

    Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022, https://arxiv.org/abs/2109.01134. The
    authors' settings: 16 random vectors; SGD, learning rate 2e-3 with a cosine schedule after one warm-up epoch at
    1e-5, batch 32; 50 epochs for 1 shot, 100 for 2 and 4, 200 for 8 and 16, 50 on ImageNet; the last epoch is tested.
    Differences from the published code: those of `PromptTrainer`, and CTX_INIT gives one vector for each token (there
    one for each word, and further tokens are cut off).
    """

    node = "COOP"

    def build_prompt_learner(self) -> PromptLearner:
        """Random or given context vectors."""
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

    def similarities(self, features: torch.Tensor) -> torch.Tensor:
        """Cosine similarities (B, C) to one text for each class."""
        texts = encode_prompts(self.clip_model, self.learner(), self.learner.ends)
        return features @ F.normalize(texts, dim=-1).T
