"""The life of a trainer that learns prompts through the text tower: CoOp's loop, checkpoints and log."""

import torch
import torch.nn.functional as F
from dassl.data import DataManager
from dassl.metrics import compute_accuracy
from dassl.optim import build_optimizer
from dassl.utils import load_pretrained_weights
from tqdm import tqdm

from imo.errors import InputError
from imo.model.backbone import unknown_words
from imo.model.encode import encode_images
from imo.trainers.adapter.data import SeededViews
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.schedule import build_schedule

PRECISIONS = ("fp16", "fp32", "amp")


class PromptTrainer(ClipTrainer):
    """Trains a prompt learner on augmented images by Dassl's loop, everything else of CLIP being frozen.

    A method gives `node`, the name of its options below TRAINER, `build_prompt_learner()` and `similarities(features)`.
    The checkpoint is `prompt_learner/`, with CoOp's names of parameters: each loads the other's. TEST.FINAL_MODEL is
    Dassl's: "last_step", as published, or "best_val".

    Deviations from CoOp: augmentation is a function of (seed, epoch, image); one device; "fp16" and "amp" mean float32
    where there is no CUDA.
    """

    correction = "none"

    def check_cfg(self, cfg):
        super().check_cfg(cfg)
        precision = cfg.TRAINER[self.node].PREC
        if precision not in PRECISIONS:
            raise InputError(f"TRAINER.{self.node}.PREC: expected one of {', '.join(PRECISIONS)}, got '{precision}'")
        self.chooses_epoch = cfg.TEST.FINAL_MODEL == "best_val"
        if self.chooses_epoch and cfg.DATASET.VALIDATION == "support":  # Dassl would choose on the test set
            raise InputError("TEST.FINAL_MODEL: best_val needs validation images; take last_step")

    @property
    def options(self):
        return self.cfg.TRAINER[self.node]

    def build_data_loader(self):
        self.take_data(DataManager(self.cfg, dataset_wrapper=SeededViews))

    def build_model(self):
        cfg = self.cfg
        self.seconds = {}
        with self.stage("load"):
            self.load_backbone()
            if self.options.PREC != "fp16":
                self.clip_model.float()
            learner = self.build_prompt_learner().to(self.device)
        print(f'Initial context: "{learner.initial}"')
        print(f"Number of context words (tokens): {learner.n_ctx}")
        self.unknown_words = unknown_words(
            self.clip_model, [f"{learner.words} {name}.".replace("_", " ") for name in self.dm.dataset.classnames]
        )
        if self.unknown_words:
            words = ", ".join(self.unknown_words)
            print(f"Warning: words that mean nothing to backbone '{cfg.MODEL.BACKBONE.NAME}': {words}")
        if cfg.MODEL.INIT_WEIGHTS:
            load_pretrained_weights(learner, cfg.MODEL.INIT_WEIGHTS)
        self.trained_on = cfg.DATASET.NAME
        self.tuned_on = tuned_on(self.dm.dataset) if self.chooses_epoch else "nothing"
        self.learner = learner
        self.amp = self.options.PREC == "amp" and self.device.type == "cuda"
        self.scaler = (getattr(torch.amp, "GradScaler", None) or torch.cuda.amp.GradScaler)(enabled=self.amp)
        self.optim = build_optimizer(learner, cfg.OPTIM)
        self.sched = build_schedule(self.optim, cfg.OPTIM)
        self.register_model("prompt_learner", learner, self.optim, self.sched)

    def build_prompt_learner(self):
        """The module that is trained, an `imo.model.prompts.PromptLearner`."""
        raise NotImplementedError

    def similarities(self, features):
        """(B, C) cosine similarities of normalised image features (B, d) to the texts of the classes."""
        raise NotImplementedError

    def model_inference(self, image):
        """(B, C) logits."""
        features = F.normalize(encode_images(self.clip_model, image), dim=-1).to(self.clip_model.dtype)
        return self.clip_model.logit_scale.exp() * self.similarities(features)

    def before_epoch(self):
        self.train_loader_x.dataset.epoch = self.epoch

    def forward_backward(self, batch):
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

    def run_epoch(self):
        with self.stage("train"):
            super().run_epoch()

    def save_model(self, epoch, directory, is_best=False, val_result=None, model_name=""):
        # The last epoch is the best where none is chosen, and a result is always a number: upstream formats it.
        is_best = is_best or (not self.chooses_epoch and epoch + 1 == self.max_epoch)
        super().save_model(epoch, directory, is_best, 0.0 if val_result is None else val_result, model_name)

    def load_model(self, directory, epoch=None):
        super().load_model(directory, epoch)
        source = read_results(directory or "") or {}
        self.trained_on = source.get("dataset", self.trained_on)
        self.tuned_on = source.get("tuned_on", self.tuned_on)

    @torch.no_grad()
    def test(self, split=None):
        split = split or self.cfg.TEST.SPLIT
        print(f"Evaluate on the *{split}* set")
        self.set_model_mode("eval")
        self.evaluator.reset()
        with self.stage("test" if split == "test" else "validate"):
            for batch in tqdm(self.val_loader if split == "val" else self.test_loader):
                image, label = self.parse_batch_test(batch)
                self.evaluator.process(self.model_inference(image), label)
            results = self.evaluator.evaluate()
        if split == "test":
            self.write_results(
                results,
                tuned_on=self.tuned_on,
                val_accuracy=self.best_result if self.best_result > 0 else None,
                trained_on=self.trained_on,
                unknown_prompt_words=self.unknown_words,
            )
        return results["accuracy"]
