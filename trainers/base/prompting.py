"""What CoOp and CoCoOp share: training a prompt learner by Dassl's loop, with CoOp's checkpoints and log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from dassl.metrics import compute_accuracy
from dassl.optim import build_optimizer
from dassl.utils import load_checkpoint, load_pretrained_weights
from tqdm import tqdm
from yacs.config import CfgNode

from imo.errors import InputError, reading
from imo.model.encode import encode_images, forward_whole
from imo.model.prompts import POSITIONS, PromptLearner
from imo.results import Prompts
from imo.rules import FLAG, TEXT, Rule, one_of, whole
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.folders import Record
from imo.trainers.base.foreign import protocol_of
from imo.trainers.base.inputs import state_name
from imo.trainers.base.schedule import build_schedule
from imo.trainers.base.texts import warn_of_unknown

PRECISIONS = ("fp16", "fp32", "amp")


class PromptTrainer(ClipTrainer):
    """Trains a prompt learner on augmented images; all of CLIP stays frozen.

    A method sets `node`, the name of its options below TRAINER, and defines `build_prompt_learner` and `similarities`.
    The checkpoint `prompt_learner/` has the parameter names of the published CoOp code, so that either loads the
    other's. TEST.FINAL_MODEL, as in Dassl, says which epoch is tested: "last_step" (as published) or "best_val".

    Differences from the published code: augmentation depends on (seed, epoch, image) alone; one GPU at most; the
    precisions "fp16" and "amp" mean float32 where there is no GPU.

    Attributes:
        chooses_epoch: whether the epoch that is tested is chosen on validation images.
        unknown_words: words of the prompts that mean nothing to the backbone.
    """

    correction = "none"
    learner: PromptLearner

    @classmethod
    def rules(cls, cfg: CfgNode) -> dict[str, Rule]:
        own = {
            "N_CTX": whole(1, 77), "CTX_INIT": TEXT, "CSC": FLAG, "PREC": one_of(PRECISIONS),
            "CLASS_TOKEN_POSITION": one_of(POSITIONS),
        }  # fmt: skip
        return {**super().rules(cfg), **{f"TRAINER.{cls.node}.{name}": rule for name, rule in own.items()}}

    def build_model(self) -> None:
        """CLIP, the prompt learner, and what trains it. Choosing an epoch without validation images is refused."""
        cfg = self.cfg
        self.chooses_epoch = cfg.TEST.FINAL_MODEL == "best_val"
        protocol = protocol_of(self.dm.dataset)
        if self.chooses_epoch and protocol.images == "support":  # Dassl would choose on the test set
            raise InputError("TEST.FINAL_MODEL: best_val needs validation images; take last_step")
        with self.stage("load"):
            self.load_backbone()
            if self.options.PREC != "fp16":
                self.clip_model.float()
            learner = self.build_prompt_learner().to(self.device)
        print(f'Initial context: "{learner.initial}"')
        print(f"Number of context words (tokens): {learner.n_ctx}")
        prompts = [f"{learner.words} {name}.".replace("_", " ") for name in self.dm.dataset.classnames]
        self.unknown_words = warn_of_unknown(self.clip_model, cfg.MODEL.BACKBONE.NAME, prompts)
        if cfg.MODEL.INIT_WEIGHTS:
            with reading(f"MODEL.INIT_WEIGHTS: {cfg.MODEL.INIT_WEIGHTS} cannot be loaded", "give a state dict's file"):
                load_pretrained_weights(learner, cfg.MODEL.INIT_WEIGHTS)
        self.protocol = protocol if self.chooses_epoch else protocol.nothing()
        self.learner = learner
        learner.record = Record(self.inputs)
        self.amp = self.options.PREC == "amp" and self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(enabled=self.amp)
        self.optim = build_optimizer(learner, cfg.OPTIM)
        self.sched = build_schedule(self.optim, cfg.OPTIM)
        self.register_model("prompt_learner", learner, self.optim, self.sched)

    def build_prompt_learner(self) -> PromptLearner:
        """The module that is trained."""
        raise NotImplementedError

    def similarities(self, features: torch.Tensor) -> torch.Tensor:
        """Cosine similarities (B, C) of normalised image features (B, d) to the texts of the classes."""
        raise NotImplementedError

    def model_inference(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (B, C) of images (B, 3, H, W)."""
        # A training batch is encoded as it is: in pieces, CoCoOp's batches of one image would take many times as long.
        encode = forward_whole if self.learner.training else encode_images
        features = F.normalize(encode(self.clip_model, image), dim=-1).to(self.clip_model.dtype)
        logits: torch.Tensor = self.clip_model.logit_scale.exp() * self.similarities(features)
        return logits

    def forward_backward(self, batch: dict[str, Any]) -> dict[str, float]:
        """Make the step of a batch; returns its loss, and its accuracy in percent.

        Raises:
            InputError: the loss is infinite or NaN.
        """
        image, label = self.parse_batch_test(batch)
        with torch.autocast("cuda", enabled=self.amp):
            output = self.model_inference(image)
            loss = F.cross_entropy(output.float(), label)
        if not torch.isfinite(loss):
            raise InputError(
                f"OPTIM.LR: the loss is infinite or NaN in epoch {self.epoch + 1}, batch {self.batch_idx + 1}; lower "
                f"it, or set TRAINER.{self.node}.PREC fp32"
            )
        self.model_zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optim)
        self.scaler.update()
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()
        return {"loss": loss.item(), "acc": compute_accuracy(output, label)[0].item()}

    def save_model(
        self, epoch: int, directory: str, is_best: bool = False, val_result: float | None = None, model_name: str = ""
    ) -> None:
        """Write a checkpoint. The last epoch is the best where none is chosen."""
        is_best = is_best or (not self.chooses_epoch and epoch + 1 == self.max_epoch)
        result = 0.0 if val_result is None else val_result  # upstream's load_model formats it as a number
        super().save_model(epoch, directory, is_best=is_best, val_result=result, model_name=model_name)

    def resume_model_if_exist(self, directory: str) -> int:
        """As `ClipTrainer`; what the best epoch so far reached on validation images is remembered, too."""
        epoch = super().resume_model_if_exist(directory)
        best = Path(directory, "prompt_learner", state_name(None))
        if epoch and self.chooses_epoch and best.is_file():
            self.best_result = load_checkpoint(str(best))["val_result"]
        return epoch

    def evaluate(self, split: str) -> dict[str, Any]:
        """Give the evaluator the logits of a split's batches."""
        for batch in tqdm(self.val_loader if split == "val" else self.test_loader):
            image, label = self.parse_batch_test(batch)
            self.evaluator.process(self.model_inference(image), label)
        best = self.best_result if self.best_result > 0 else None
        return {"val_accuracy": best, "prompts": Prompts(unknown_words=self.unknown_words)}
