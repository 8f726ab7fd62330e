"""Trains the adapters that reduce CLIP's intra-modal overlap, on a generic dataset, with its labels or without."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dassl.engine import TRAINER_REGISTRY
from dassl.optim import build_optimizer
from yacs.config import CfgNode

from imo.model.adapter import attach_adapters, save_adapters
from imo.results import AdapterTraining
from imo.rules import Rule
from imo.trainers.adapter import options as adapter_options
from imo.trainers.adapter.data import held_out_classes, split_by_class
from imo.trainers.adapter.dino import Dino, crops
from imo.trainers.adapter.objectives import Objective, Supervised
from imo.trainers.adapter.progress import Progress
from imo.trainers.adapter.steps import Stepper, gradient_scaler
from imo.trainers.adapter.validation import test, validate
from imo.trainers.base import distributed, folders
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.folders import Record
from imo.trainers.base.foreign import protocol_of

extend_cfg = adapter_options.extend_cfg


@TRAINER_REGISTRY.register()
class IMOAdapter(ClipTrainer):
    """Trains a bottleneck adapter in every block of CLIP's visual transformer; all of CLIP stays frozen.

    A block's output `x + mlp(ln_2(x))` becomes `x + mlp(ln_2(x)) + s * up(dropout(relu(down(x))))`, where x is the
    block's state after attention. The result is the corrected encoder "VEimo" of the ++ methods.

    Kravets & Namboodiri, "CLIP Adaptation by Intra-Modal Overlap Reduction", BMVC 2024,
    https://arxiv.org/abs/2409.11338. OBJECTIVE "supervised": cross-entropy of a linear head on the un-normalised image
    embedding. The authors train on 200 images of each Open Images class, one epoch, AdamW, learning rate 8e-3, batch
    128, float32, and do not normalise pixels; this trainer does unless "normalize" is taken out of INPUT.TRANSFORMS.
    OBJECTIVE "dino": self-supervised, see `imo.trainers.adapter.dino`.

    A run leaves `adapter.safetensors` in its output folder, the file for IMO.ADAPTER. Its accuracy is that of the head
    (or, under "dino", of the class of the most similar other image) on the generic dataset's test images, whose
    overlap is measured with and without adapters. A run that was interrupted goes on after its last whole epoch and
    ends with the same adapters as an uninterrupted one.
    """

    correction = "none"
    node = "IMOADAPTER"
    runs_in_several_processes = True
    objective: Objective

    @classmethod
    def rules(cls, cfg: CfgNode) -> dict[str, Rule]:
        return {**super().rules(cfg), **adapter_options.rules()}

    def check_cfg(self, cfg: CfgNode) -> None:
        """Refuse options that do not fit together (InputError)."""
        super().check_cfg(cfg)
        adapter_options.check(cfg)

    def build_data_loader(self, train_transform: Any = None) -> None:
        """Loaders of augmented training images and of test images; `held_out` lists classes that are not trained on."""
        if self.options.OBJECTIVE == "dino":
            train_transform = crops(self.cfg)
        super().build_data_loader(train_transform)
        self.held_out: list[int] = []
        if self.options.HOLD_OUT:
            self.held_out = held_out_classes(self.cfg, self.num_classes)
            self.train_loader_x, self.held_out_loader = split_by_class(self.cfg, self.dm, self.held_out)
        if distributed.world_size() > 1:
            self.train_loader_x = distributed.shared_out(self.train_loader_x)

    def build_model(self) -> None:
        """CLIP with fresh adapters, the objective, and what makes its steps."""
        cfg = self.cfg
        self.protocol = protocol_of(self.dm.dataset).nothing()
        with self.stage("load"):
            self.load_backbone()
            self.clip_model.float()
            attach_adapters(self.clip_model, self.options.BOTTLENECK, self.options.SCALE, self.options.DROPOUT)
        if self.options.OBJECTIVE == "dino":
            self.objective = Dino(self.clip_model, cfg)
        else:
            self.objective = Supervised(self.clip_model, self.num_classes)
        self.progress = Progress(gradient_scaler(cfg, self.device), self.seconds)
        self.objective.progress = self.progress
        self.objective.record = Record(self.inputs)
        self.objective.to(self.device)
        adapter_size = sum(p.numel() for p in self.objective.student["adapters"].parameters())
        print(f"Adapter parameters: {adapter_size:,}; everything else of CLIP is frozen")
        self.optim = build_optimizer(self.objective.student, cfg.OPTIM)
        self.stepper = Stepper(cfg, self.objective, self.clip_model.visual, self.optim)
        self.register_model("adapter", self.objective, self.optim)

    def resume_model_if_exist(self, directory: str) -> int:
        """Also restore the random generators, the scaler and the seconds; see `ClipTrainer`."""
        epoch = super().resume_model_if_exist(directory)
        if epoch:
            with folders.checkpoint_errors(f"--resume: the checkpoint in {directory}", "remove it"):
                self.progress.resume()
        return epoch

    def init_writer(self, log_dir: str) -> None:
        """Curves for tensorboard, written by the first process."""
        if distributed.rank() == 0:
            super().init_writer(log_dir)

    @property
    def stopped(self) -> bool:
        """Whether training has ended before its last epoch, for want of a smaller overlap of the held-out classes."""
        return self.progress.out_of_patience(self.options.PATIENCE)

    def run_epoch(self) -> None:
        """Dassl's loop over the batches, unless training has stopped."""
        if not self.stopped:
            super().run_epoch()

    def forward_backward(self, batch: dict[str, Any]) -> dict[str, float]:
        """Make the step of a batch; returns the numbers to print."""
        if self.batch_idx == 0:  # the order of the epoch's batches is drawn; dropout is each process's own
            distributed.own_random_state()
        return self.stepper(batch, self.epoch, self.batch_idx, self.num_batches)

    def after_epoch(self) -> None:
        """Measure the overlap of the held-out classes, and write a checkpoint in place of the one before."""
        if self.stopped:
            return
        if self.held_out:
            with self.stage("validate"):
                area, separation, state = validate(self.clip_model, self.objective, self.held_out_loader)
            print(f"Overlap of {len(self.held_out)} held-out classes: area {area:.3f}, separation {separation:.3f}")
            self.write_scalar("held_out/area", area, self.epoch)
            self.progress.validated(self.epoch + 1, area, separation, state if self.options.PATIENCE else {})
        last = self.stopped or self.epoch + 1 == self.max_epoch
        self.save_model(self.epoch, self.output_dir, is_best=last, val_result=0.0)
        self.keep_latest()

    def keep_latest(self) -> None:
        """Remove the checkpoints of earlier epochs; a killed run may have left several."""
        folder = Path(self.output_dir, "adapter")
        if distributed.rank() == 0 and (folder / "checkpoint").is_file():  # has the name of the latest
            latest = (folder / "checkpoint").read_text(encoding="utf-8").strip()
            for path in folder.glob("model.pth.tar-*"):
                if path.name != latest:
                    path.unlink(missing_ok=True)

    def after_train(self) -> None:
        """Write the adapters and test, in the first process."""
        if distributed.rank() > 0:
            return
        self.keep_latest()
        path = f"{self.output_dir}/adapter.safetensors"
        with self.deployed():
            save_adapters(self.clip_model, path, self.backbone_sha256)
        print(f"Adapters saved to {path}")
        super().after_train()

    @contextlib.contextmanager
    def deployed(self) -> Iterator[None]:
        """Within the block, CLIP has the adapters that the run saves: of the best epoch where patience chooses one."""
        with self.objective.deployed():
            if self.progress.best:
                self.objective.used.load_state_dict(self.progress.best)
            yield

    def evaluate(self, split: str) -> dict[str, Any]:
        """Give the evaluator the scores under the deployed adapters, and measure their overlap."""
        loader: Any = self.val_loader if split == "val" else self.test_loader
        with self.deployed():
            measured, count = test(self.clip_model, self.objective, loader, self.held_out, self.evaluator)
        for name, found in measured.items():
            print(f"Overlap, correction {name}: area {found.area:.3f}, separation {found.separation:.3f}")
        training = AdapterTraining(
            overlap=measured,
            loss_curve=self.progress.curve,
            held_out_classes=self.held_out,
            held_out_overlap=self.progress.validation,
        )
        return {"kind": "adapter", "correction": "adapter", "n_test": count, "training": training}
