"""What every trainer here shares: the backbone with its correction, checkpoints, and results."""

import contextlib
import os
import pickle
import re
import time

import torch
from dassl.engine import TrainerX

from imo.errors import InputError
from imo.files import file_sha256
from imo.model.adapter import adapters_sha256, blocks_of, load_adapters
from imo.model.assets import shipped_adapter
from imo.model.backbone import load_clip, locate
from imo.results import Result, versions, write_result, write_results
from imo.trainers.base import distributed as _distributed
from imo.trainers.base.corrections import ENCODERS, isoclip_of
from imo.trainers.base.options import CHOICES, fingerprint


class ClipTrainer(TrainerX):
    """A trainer on a frozen CLIP.

    Attributes of a class:
        correction: a name of `_corrections.ENCODERS` for trainers that fix it, None where IMO.CORRECTION decides.
        needs_shots: whether it uses a support set.
        training_free: whether scripts/compare.sh takes it by default.
        runs_in_several_processes: whether torchrun may start it.
    """

    correction = None
    needs_shots = True
    training_free = False
    runs_in_several_processes = False

    def check_cfg(self, cfg):
        shots = cfg.DATASET.NUM_SHOTS
        if self.needs_shots and shots < 1 and shots != -1:
            raise InputError(f"DATASET.NUM_SHOTS: expected a positive number of shots, or -1 for all data, got {shots}")
        for name, values in CHOICES.items():
            if cfg.IMO[name] not in values:
                raise InputError(f"IMO.{name}: expected one of {', '.join(values)}, got '{cfg.IMO[name]}'")
        if self.correction is None:
            self.correction = cfg.IMO.CORRECTION

    @property
    def encoder(self):
        """The encoder of corrected features: "clip" or "adapter"."""
        return ENCODERS[self.correction]

    def take_data(self, manager):
        """Keep of a data manager what Dassl's `build_data_loader` keeps of its own."""
        self.dm = manager
        self.train_loader_x, self.train_loader_u = manager.train_loader_x, manager.train_loader_u
        self.val_loader, self.test_loader = manager.val_loader, manager.test_loader
        self.num_classes, self.lab2cname = manager.num_classes, manager.lab2cname
        self.num_source_domains = manager.num_source_domains

    def load_backbone(self):
        """Set `clip_model` (with adapters, if the correction wants them) and the checksums that name it."""
        cfg = self.cfg
        name = cfg.MODEL.BACKBONE.NAME
        print(f"Loading CLIP (backbone: {name})")
        self.backbone_sha256 = file_sha256(locate(name))
        self.adapter_sha256 = None
        dtype = None if cfg.IMO.PRECISION == "auto" else torch.float32
        self.clip_model, _ = load_clip(name, self.device, dtype)
        side = self.clip_model.visual.input_resolution
        if tuple(cfg.INPUT.SIZE) != (side, side):
            raise InputError(f"INPUT.SIZE: backbone '{name}' takes {side}x{side} images, got {tuple(cfg.INPUT.SIZE)}")
        if self.encoder == "adapter":
            blocks_of(self.clip_model)  # a ResNet has no place for adapters, whatever the file
            path = cfg.IMO.ADAPTER or shipped_adapter(name)
            if path is None:
                raise InputError(
                    f"IMO.ADAPTER: {cfg.TRAINER.NAME} needs adapters for backbone '{name}' and none ship with it; "
                    f"train them with 'bash scripts/imo_adapter.sh DATASET', then set ADAPTER=<its adapter.safetensors>"
                )
            print(f"Loading adapters from {path}")
            load_adapters(self.clip_model, path, self.backbone_sha256)
            self.adapter_sha256 = adapters_sha256(path)
        self.isoclip = None
        if self.correction == "isoclip":
            self.isoclip = isoclip_of(self.clip_model, name, cfg.IMO.ISOCLIP)

    def train(self):
        if self.needs_shots and getattr(self.dm.dataset, "test_only", False):
            raise InputError(
                f"DATASET.NAME: {self.cfg.DATASET.NAME} has no training images; build on another dataset and test on "
                f"this one with --eval-only --model-dir, as scripts/shift.sh does"
            )
        super().train()

    @contextlib.contextmanager
    def stage(self, name):
        """Adds the seconds spent in the block to `seconds[name]` of the results."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun

    def build_data_loader(self):
        with _distributed.first_alone():  # a dataset may be made on first use
            super().build_data_loader()

    def save_model(self, epoch, directory, *args, **kwargs):
        if _distributed.rank() > 0:
            return
        try:
            super().save_model(epoch, directory, *args, **kwargs)
        except (OSError, RuntimeError) as error:  # torch.save makes a RuntimeError of a full disk
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{directory}: checkpoint cannot be written ({reason}); make room on the disk, or choose another "
                f"--output-dir"
            ) from error

    def load_model(self, directory, epoch=None):
        if not directory:
            if self.needs_shots:
                raise InputError(
                    f"--model-dir: {self.cfg.TRAINER.NAME} has no state to test; give a finished run's folder"
                )
            return
        for name in self.get_model_names():
            file_name = "model-best.pth.tar" if epoch is None else f"model.pth.tar-{epoch}"
            path = os.path.join(directory, name, file_name)
            if not os.path.isfile(path):
                raise InputError(f"--model-dir: no checkpoint at {path}; give the output folder of a finished run")
        try:
            super().load_model(directory, epoch)
        except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"--model-dir: the checkpoint in {directory} is damaged or does not fit ({reason}); train again"
            ) from error

    def cfg_name(self):
        """Name of the trainer's config file, as scripts put it in the output folder: <cfg>_<K>shots/seed<S>."""
        match = re.fullmatch(r"(.+)_-?\d+shots", os.path.basename(os.path.dirname(self.output_dir)))
        name = match[1] if match else ""
        for option in (self.cfg.DATASET.VALIDATION, self.correction):  # scripts/runs.py puts them behind the name
            name = name[: -len(option) - 1] if name.endswith(f"-{option}") else name
        return name

    def write_results(self, test_results, **more):
        """Write results.json; `more` overrides and extends the common part."""
        if _distributed.rank() > 0:
            return
        cfg = self.cfg
        results = {
            "trainer": cfg.TRAINER.NAME,
            "dataset": getattr(self.dm.dataset, "target_name", cfg.DATASET.NAME),
            "cfg": self.cfg_name(),
            "backbone": cfg.MODEL.BACKBONE.NAME,
            "backbone_sha256": self.backbone_sha256,
            "adapter_sha256": self.adapter_sha256,
            "correction": self.correction,
            "shots": cfg.DATASET.NUM_SHOTS,
            "seed": cfg.SEED,
            "accuracy": test_results["accuracy"],
            "macro_f1": test_results["macro_f1"],
            "n_test": len(self.dm.dataset.test),
            "tuned_on": None,
            "hyper_parameters": {},
            "val_accuracy": None,
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "images_encoded": {},
            "settings": fingerprint(cfg),
            **more,
        }
        path = write_results(self.output_dir, results)
        print(f"Results saved to {path}")

    def write_result(self, test_results, **fields):
        """TEMPORARY"""
        if _distributed.rank() > 0:
            return
        cfg, dataset = self.cfg, self.dm.dataset
        common = {
            "trainer": cfg.TRAINER.NAME,
            "method": cfg.TRAINER.NAME,
            "base": None,
            "correction": self.correction,
            "cfg": self.cfg_name(),
            "dataset": getattr(dataset, "target_name", cfg.DATASET.NAME),
            "trained_on": cfg.DATASET.NAME,
            "backbone": cfg.MODEL.BACKBONE.NAME,
            "backbone_sha256": self.backbone_sha256,
            "adapter_sha256": self.adapter_sha256,
            "shots": cfg.DATASET.NUM_SHOTS,
            "seed": cfg.SEED,
            "accuracy": test_results["accuracy"],
            "macro_f1": test_results["macro_f1"],
            "n_test": len(dataset.test),
            "protocol": self.protocol,
            "tuned_on": str(self.protocol),
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "settings": fingerprint(cfg),
            "versions": versions(),
        }
        path = write_result(self.output_dir, Result(**{**common, **fields}))
        print(f"Results saved to {path}")
