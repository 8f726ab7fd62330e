"""Trains the adapters that reduce intra-modal overlap, on a generic set, with its labels or without."""

import contextlib
import os
from dataclasses import asdict

import torch
from dassl.data import DataManager
from dassl.engine import TRAINER_REGISTRY
from dassl.optim import build_optimizer
from tqdm import tqdm

from imo.errors import InputError
from imo.measure.overlap import overlap
from imo.model.adapter import attach_adapters, save_adapters
from imo.model.encode import encode_images
from imo.trainers.adapter import dino as _dino
from imo.trainers.adapter import options as _adapter_options
from imo.trainers.adapter.data import SeededViews, held_out_classes, split_by_class
from imo.trainers.adapter.objectives import Supervised
from imo.trainers.adapter.progress import Progress
from imo.trainers.adapter.steps import Stepper, learning_rate
from imo.trainers.base import distributed as _distributed
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.options import fingerprint

extend_cfg = _adapter_options.extend_cfg


@TRAINER_REGISTRY.register()
class IMOAdapter(ClipTrainer):
    """Supervised: adapters and a linear head on the un-normalised image embedding, cross-entropy; the head is dropped.
    Self-supervised: see `_dino`.

    Kravets & Namboodiri, "CLIP Adaptation by Intra-Modal Overlap Reduction", BMVC 2024,
    https://arxiv.org/abs/2409.11338. Theirs: Open Images, 200 images a class, AdamW 8e-3, batch 128, one epoch, fp32,
    pixels not normalised. Ours normalises; drop "normalize" from INPUT.TRANSFORMS for theirs.

    Leaves `adapter.safetensors` in the output folder, for IMO.ADAPTER. The reported accuracy is the head's on the
    generic test split, or, without labels, that of the nearest other image there; results.json also has the overlap of
    that split before and after. An interrupted run goes on from its last epoch and ends as an uninterrupted one.
    """

    correction = "none"
    runs_in_several_processes = True

    def check_cfg(self, cfg):
        super().check_cfg(cfg)
        _adapter_options.check(cfg)

    # Data.

    def build_data_loader(self):
        crops = _dino.Crops(self.cfg) if self.cfg.TRAINER.IMOADAPTER.OBJECTIVE == "dino" else None
        with _distributed.first_alone():  # a dataset may be made on first use
            self.take_data(DataManager(self.cfg, custom_tfm_train=crops, dataset_wrapper=SeededViews))
        self.held_out = []
        if self.cfg.TRAINER.IMOADAPTER.HOLD_OUT:
            self.held_out = held_out_classes(self.cfg, self.num_classes)
            self.train_loader_x, self.held_out_loader = split_by_class(self.cfg, self.dm, self.held_out)
        if _distributed.world_size() > 1:
            self.train_loader_x = _distributed.shared_out(self.train_loader_x)

    # Model and checkpoints.

    def build_model(self):
        cfg, options = self.cfg, self.cfg.TRAINER.IMOADAPTER
        self.seconds = {}
        with self.stage("load"):
            self.load_backbone()
            self.clip_model.float()
            attach_adapters(self.clip_model, options.BOTTLENECK, options.SCALE, options.DROPOUT)
        if options.OBJECTIVE == "dino":
            self.objective = _dino.Dino(self.clip_model, cfg)
        else:
            self.objective = Supervised(self.clip_model, self.num_classes)
        self.objective.progress = self.progress = Progress(fingerprint(cfg))
        self.objective.to(self.device)
        adapter_size = sum(p.numel() for p in self.objective.student["adapters"].parameters())
        print(f"Adapter parameters: {adapter_size:,}; everything else of CLIP is frozen")
        self.optim = build_optimizer(self.objective.student, cfg.OPTIM)
        self.stepper = Stepper(cfg, self.objective, self.clip_model.visual, self.optim, self.device)
        self.register_model("adapter", self.objective, self.optim)

    def resume_model_if_exist(self, directory):
        try:
            epoch = super().resume_model_if_exist(directory)
        except (RuntimeError, KeyError, EOFError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"--resume: the checkpoint in {directory} is damaged or does not fit ({reason}); remove it"
            ) from error
        if epoch:
            self.progress.resume(directory)
            self.stepper.scaler.load_state_dict(self.progress.scaler)
            self.seconds["train"] = self.progress.seconds
        elif self.cfg.RESUME:
            raise InputError(f"--resume: no checkpoint in {directory}; give the output folder of an interrupted run")
        return epoch

    def save_epoch(self):
        """Write the checkpoint of this epoch, then remove the one before it."""
        self.progress.scaler, self.progress.seconds = self.stepper.scaler.state_dict(), self.seconds["train"]
        last = self.stopped or self.epoch + 1 == self.max_epoch
        self.save_model(self.epoch, self.output_dir, is_best=last, val_result=0.0)
        if _distributed.rank() == 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.output_dir, "adapter", f"model.pth.tar-{self.epoch}"))

    # Training.

    def init_writer(self, log_dir):
        if _distributed.rank() == 0:
            super().init_writer(log_dir)

    def before_epoch(self):
        self.train_loader_x.dataset.epoch = self.epoch
        _distributed.same_random_state()

    def run_epoch(self):
        if not self.stopped:
            with self.stage("train"):
                super().run_epoch()

    def parse_batch_train(self, batch):
        views = batch["img"] if isinstance(batch["img"], (list, tuple)) else [batch["img"]]
        return [view.to(self.device) for view in views], batch["label"].to(self.device)

    def forward_backward(self, batch):
        if self.batch_idx == 0:
            _distributed.own_random_state()
        step, steps = self.epoch * self.num_batches + self.batch_idx, self.max_epoch * self.num_batches
        for group in self.optim.param_groups:
            group["lr"] = learning_rate(self.cfg, step, steps, self.num_batches)
        summary = self.stepper(*self.parse_batch_train(batch), self.epoch, self.batch_idx, (step + 1) / steps)
        last = (step + 1) % self.cfg.TRAIN.PRINT_FREQ == 0 or self.batch_idx + 1 == self.num_batches
        self.progress.record(step + 1, summary["loss"], last)
        return summary

    def after_epoch(self):
        if not self.stopped:
            if self.held_out:
                self.validate()
            self.save_epoch()

    @property
    def stopped(self):
        """Whether patience is at its end."""
        areas = [found["area"] for found in self.progress.validation]
        patience = self.cfg.TRAINER.IMOADAPTER.PATIENCE
        return bool(patience and areas) and len(areas) - 1 - areas.index(min(areas)) >= patience

    def validate(self):
        """Measure the overlap of held-out classes; remember the weights if it is the least so far."""
        found = torch.zeros(2)
        if _distributed.rank() == 0:
            with self.stage("validate"), self.objective.deployed():
                features, labels = self.encoded(self.held_out_loader, "adapter")
                report = overlap(features["adapter"], labels)
                weights = {name: value.clone() for name, value in self.objective.used.state_dict().items()}
            found = torch.tensor([report.area, report.separation])
        area, separation = _distributed.from_first(found).tolist()
        print(f"Overlap of {len(self.held_out)} held-out classes: area {area:.3f}, separation {separation:.3f}")
        self.write_scalar("held_out/area", area, self.epoch)
        if (
            self.cfg.TRAINER.IMOADAPTER.PATIENCE
            and _distributed.rank() == 0
            and area < min([v["area"] for v in self.progress.validation], default=2.0)
        ):
            self.progress.best = weights
        self.progress.validation.append({"epoch": self.epoch + 1, "area": area, "separation": separation})

    def after_train(self):
        if _distributed.rank() > 0:
            return
        path = f"{self.output_dir}/adapter.safetensors"
        with self.deployed():
            save_adapters(self.clip_model, path, self.backbone_sha256)
        print(f"Adapters saved to {path}")
        super().after_train()

    @contextlib.contextmanager
    def deployed(self):
        """Within the block, the tower has the adapters that the run leaves."""
        with self.objective.deployed():
            if self.cfg.TRAINER.IMOADAPTER.PATIENCE and self.progress.best:
                self.objective.used.load_state_dict(self.progress.best)
            yield

    # Test.

    @torch.no_grad()
    def encoded(self, loader, *corrections):
        """Features by correction, (N, d) each, and labels (N,), of a loader's images; on CPU."""
        self.set_model_mode("eval")
        parts, labels = {name: [] for name in corrections}, []
        for batch in tqdm(loader, disable=None):
            image, label = self.parse_batch_test(batch)
            for name in corrections:
                parts[name].append(encode_images(self.clip_model, image, corrected=name == "adapter").cpu())
            labels.append(label.cpu())
        return {name: torch.cat(features) for name, features in parts.items()}, torch.cat(labels)

    @torch.no_grad()
    def test(self, split=None):
        split = split or self.cfg.TEST.SPLIT
        print(f"Evaluate on the *{split}* set")
        self.evaluator.reset()
        with self.stage("test"), self.deployed():
            features, labels = self.encoded(self.val_loader if split == "val" else self.test_loader, "none", "adapter")
            rows = torch.arange(len(labels))
            if self.held_out:  # the head has not seen them
                rows = rows[~torch.isin(labels, torch.tensor(self.held_out))]
            corrected = features["adapter"].to(self.device)
            for chunk in rows.split(1024):
                scores = self.objective.scores(corrected, labels.to(self.device), chunk.to(self.device))
                self.evaluator.process(scores, labels[chunk].to(self.device))
            results = self.evaluator.evaluate()
            report = {name: overlap(part, labels) for name, part in features.items()}
        for name, found in report.items():
            print(f"Overlap, correction {name}: area {found.area:.3f}, separation {found.separation:.3f}")
        if split == "test":
            self.write_results(
                results,
                correction="adapter",
                n_test=len(rows),
                overlap={name: asdict(found) for name, found in report.items()},
                loss_curve=self.progress.curve,
                held_out={"classes": self.held_out, "overlap": self.progress.validation},
            )
        return results["accuracy"]
