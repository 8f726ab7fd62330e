"""What every trainer here shares: the backbone with its correction, checkpoints, and results."""

from __future__ import annotations

import contextlib
import inspect
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from dassl.engine import TrainerX
from yacs.config import CfgNode

from imo.errors import InputError, reason
from imo.files import file_sha256
from imo.model.adapter import adapters_sha256, blocks_of, load_adapters
from imo.model.assets import shipped_adapter
from imo.model.backbone import load_clip, locate
from imo.protocol import Protocol
from imo.results import FILE_NAME, Result, read_result, versions, write_result
from imo.rules import Rule, check, whole
from imo.trainers.base import distributed, folders, inputs
from imo.trainers.base.corrections import isoclip_of
from imo.trainers.base.foreign import title_of
from imo.trainers.base.inputs import Inputs
from imo.trainers.base.seeded_views import seeded_data
from imo.trainers.base.settings import shared_rules


class ClipTrainer(TrainerX):
    """A trainer on a frozen CLIP.

    Attributes of a class:
        correction: of image features, for trainers that fix it; None where IMO.CORRECTION decides.
        base_name: of a corrected variant, the name of the trainer that it corrects.
        node: name of its options below TRAINER.
        needs_shots: whether it uses a support set.
        training_free: whether comparisons take it by default.
        runs_in_several_processes: whether torchrun may start it.

    Attributes of an object:
        seconds: by stage, see `stage`.
        trained_on: title of the dataset that the state is made on.
        settings: the options and weights that figures depend on.
        digests: of the data that figures depend on.
        trains: whether a training has begun.
        loaded: what the run of a state that is tested depended on; empty for a state of this run's own making.
        protocol: on what hyper-parameters are chosen; a trainer sets it in `build_model`, and for a loaded state it is
            that of the run it comes from.
    """

    correction: str | None = None
    base_name: ClassVar[str | None] = None
    node: ClassVar[str] = ""
    needs_shots: ClassVar[bool] = True
    training_free: ClassVar[bool] = False
    runs_in_several_processes: ClassVar[bool] = False

    trained_on: str
    protocol: Protocol

    def __init__(self, cfg: CfgNode) -> None:
        self.seconds: dict[str, float] = {}
        self.loaded: Inputs = {}
        self.trains = False
        super().__init__(cfg)
        self.settings = inputs.settings_of(cfg)
        self.digests = inputs.data_of(self.dm.dataset, cfg)  # now, for images may change while the run goes on

    @classmethod
    def rules(cls, cfg: CfgNode) -> dict[str, Rule]:
        """What all settings that the trainer reads may be, by dotted name."""
        shots = Rule(
            "a positive number of shots, or -1 for all data", lambda value: whole(-1).fits(value) and value != 0
        )
        return {**shared_rules(), **({"DATASET.NUM_SHOTS": shots} if cls.needs_shots else {})}

    def check_cfg(self, cfg: CfgNode) -> None:
        check(cfg, self.rules(cfg))  # again, for whoever did not ask before files were written: a checkout's train.py
        blur, side = cfg.INPUT.GB_K, min(cfg.INPUT.SIZE)
        if "gaussian_blur" in cfg.INPUT.TRANSFORMS and blur // 2 >= side:
            raise InputError(f"INPUT.GB_K: expected less than twice the image's side {side}, got {blur}")
        if cfg.OPTIM.SGD_NESTEROV and (cfg.OPTIM.MOMENTUM == 0 or cfg.OPTIM.SGD_DAMPNING != 0):
            raise InputError("OPTIM.SGD_NESTEROV: needs MOMENTUM above 0, and no SGD_DAMPNING")
        if cfg.IMO.REDO and cfg.RESUME:
            raise InputError("IMO.REDO, --resume: a run goes on or is done anew; give one of them")
        if self.correction is None:
            self.correction = cfg.IMO.CORRECTION

    def build_data_loader(self, train_transform: Any = None) -> None:
        """As Dassl's, but of reproducible views: see `seeded_data`."""
        with distributed.first_alone():  # a dataset may be made on first use
            manager = self.dm = seeded_data(self.cfg, train_transform)
        self.train_loader_x, self.train_loader_u = manager.train_loader_x, manager.train_loader_u
        self.val_loader, self.test_loader = manager.val_loader, manager.test_loader
        self.num_classes, self.lab2cname = manager.num_classes, manager.lab2cname
        self.num_source_domains = manager.num_source_domains
        self.trained_on = title_of(manager.dataset, self.cfg)

    def load_backbone(self) -> None:
        """Set `clip_model` (with adapters, if the correction wants them) and the checksums that name it."""
        cfg = self.cfg
        name = cfg.MODEL.BACKBONE.NAME
        print(f"Loading CLIP (backbone: {name})")
        self.backbone_sha256 = file_sha256(locate(name))
        self.adapter_sha256: str | None = None
        dtype = None if cfg.IMO.PRECISION == "auto" else torch.float32
        model: Any = load_clip(name, self.device, dtype)[0]
        self.clip_model = model
        side = self.clip_model.visual.input_resolution
        if tuple(cfg.INPUT.SIZE) != (side, side):
            raise InputError(f"INPUT.SIZE: backbone '{name}' takes {side}x{side} images, got {tuple(cfg.INPUT.SIZE)}")
        if self.correction == "adapter":
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
        isoclip = self.correction == "isoclip"
        self.isoclip = isoclip_of(self.clip_model, name, cfg.IMO.ISOCLIP) if isoclip else None

    def train(self, start_epoch: int | None = None, max_epoch: int | None = None) -> None:
        if self.needs_shots and getattr(self.dm.dataset, "test_only", False):
            raise InputError(
                f"DATASET.NAME: {title_of(self.dm.dataset, self.cfg)} has no training images; build on another dataset "
                f"and test on this one with --eval-only --model-dir, as scripts/shift.sh does"
            )
        with distributed.first_alone():  # the first one empties the folder
            if self.is_finished():
                return
            if distributed.rank() == 0 and (self.cfg.IMO.REDO or Path(self.output_dir, FILE_NAME).exists()):
                folders.withdraw(self.output_dir, self.get_model_names())
        self.trains = True
        super().train()

    @property
    def options(self) -> CfgNode:
        """The trainer's own options."""
        return self.cfg.TRAINER[self.node]

    def inputs(self) -> Inputs:
        """All that the state depends on; checkpoints hold it."""
        weights = {"backbone_sha256": self.backbone_sha256, "adapter_sha256": self.adapter_sha256 or "none"}
        return {**self.settings, **self.digests, **{name: inputs.short(sha256) for name, sha256 in weights.items()}}

    def is_finished(self) -> bool:
        """Whether the output folder has the results of this run, and they are not to be found anew."""
        folder = self.output_dir
        if self.cfg.IMO.REDO or folders.finished(folder, self.settings, lambda: self.digests) is None:
            return False
        print(f"{folder}: finished already; IMO.REDO True does it again")
        return True

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the seconds spent in the block, less those of stages inside it, to `seconds[name]` of the results."""
        begun, others = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            inside = sum(self.seconds.values()) - others
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun - inside

    def before_epoch(self) -> None:
        """Let all processes draw the same batches, of views that are new in each epoch."""
        dataset: Any = self.train_loader_x.dataset
        dataset.epoch = self.epoch
        distributed.same_random_state()

    def run_epoch(self) -> None:
        """Dassl's loop over the batches, timed."""
        with self.stage("train"):
            super().run_epoch()

    def save_model(self, epoch: int, directory: str, *args: Any, **kwargs: Any) -> None:
        if distributed.rank() > 0:
            return
        known = inspect.signature(super().save_model).parameters
        kwargs = {name: value for name, value in kwargs.items() if name in known}  # older Dassls take no val_result
        try:
            super().save_model(epoch, directory, *args, **kwargs)
        except (OSError, RuntimeError) as error:  # torch.save makes a RuntimeError of a full disk
            raise InputError(
                f"{directory}: checkpoint cannot be written ({reason(error)}); make room on the disk, or choose "
                f"another --output-dir"
            ) from error

    def load_model(self, directory: str, *extra: Any, epoch: int | None = None) -> None:
        """As Dassl's. Some checkouts give more, such as the config; of that, only a number, the epoch, is heeded."""
        numbers = [word for word in extra if isinstance(word, int)]
        self.load_state(directory, numbers[0] if numbers else epoch)
        if distributed.rank() == 0:
            (Path(self.output_dir) / FILE_NAME).unlink(missing_ok=True)  # those of the test will take their place

    def load_state(self, directory: str, epoch: int | None) -> None:
        """Load the state of an epoch, or the best one, from a finished run's folder.

        Raises:
            InputError: there is none, or it does not fit.
        """
        if not directory:
            if self.needs_shots:
                raise InputError(
                    f"--model-dir: {self.cfg.TRAINER.NAME} has no state to test; give a finished run's folder"
                )
            return
        for name in self.get_model_names():
            file_name = inputs.state_name(epoch)
            path = os.path.join(directory, name, file_name)
            if not os.path.isfile(path):
                there = sorted(file.name for file in Path(directory, name).glob("model*.pth.tar*"))
                if epoch is not None and there:
                    raise InputError(
                        f"--load-epoch {epoch}: {os.path.dirname(path)} has no {file_name}, but {', '.join(there)}; "
                        f"leave the flag out for the state that the run was tested with"
                    )
                raise InputError(f"--model-dir: no checkpoint at {path}; give the output folder of a finished run")
            with folders.checkpoint_errors(f"--model-dir: the checkpoint in {directory}", "train again"):
                found = folders.recorded(path)
            if not self.trains:  # not the best epoch of this run
                folders.compare_state(directory, found, self.inputs())
                self.loaded = found
                self.digests.update(inputs.state_of(directory, epoch))
        with folders.checkpoint_errors(f"--model-dir: the checkpoint in {directory}", "train again"):
            super().load_model(directory, epoch)
        source = read_result(directory)
        if source is not None:
            self.trained_on, self.protocol = source.trained_on, source.protocol

    def resume_model_if_exist(self, directory: str) -> int:
        """Load the last checkpoint of a folder, if it has one; returns the epoch to go on with.

        Raises:
            InputError: the checkpoint is damaged, or of a run of other inputs; or --resume was given and there is none.
        """
        models = [Path(directory, name) for name in self.get_model_names()]
        if not all((model / folders.LATEST).is_file() for model in models):
            if self.cfg.RESUME:
                raise InputError(f"--resume: no checkpoint in {directory}; give the folder of an interrupted run")
            print("No checkpoint found, train from scratch")
            return 0
        remedy = "give one of these settings, or omit it" if self.cfg.RESUME else folders.REMEDY
        with folders.checkpoint_errors(f"--resume: the checkpoint in {directory}", "remove it"):
            for model in models:
                folders.compare_half_done(directory, folders.recorded(folders.latest(model)), self.inputs(), remedy)
            epoch: int = super().resume_model_if_exist(directory)
            if not isinstance(epoch, int) or epoch < 0:
                raise ValueError(f"epoch {epoch!r}")
        return epoch

    @torch.no_grad()
    def test(self, split: str | None = None) -> float:
        """Test on a split and, for the test split, write results; returns the accuracy, in percent."""
        split = split or self.cfg.TEST.SPLIT
        print(f"Evaluate on the *{split}* set")
        self.set_model_mode("eval")
        self.evaluator.reset()
        with self.stage("test" if split == "test" else "validate"):
            fields = self.evaluate(split)
            results: dict[str, float] = self.evaluator.evaluate()
        if split == "test":
            self.write_result(results, **fields)
        return results["accuracy"]

    def evaluate(self, split: str) -> dict[str, Any]:
        """Give the evaluator a split's scores; returns what a result says of this trainer, as for `write_result`."""
        raise NotImplementedError

    def write_result(self, test_results: dict[str, float], **fields: Any) -> None:
        """Write results.json.

        Args:
            test_results: what Dassl's evaluator gives: accuracy and macro_f1 in percent.
            fields: of `imo.results.Result`, beside and over the common ones.
        """
        if distributed.rank() > 0:
            return
        cfg, dataset = self.cfg, self.dm.dataset
        common = {
            "trainer": cfg.TRAINER.NAME,
            "method": type(self).__name__,
            "base": None,
            "correction": self.correction,
            "cfg": cfg.IMO.CFG,
            "dataset": getattr(dataset, "target_name", title_of(dataset, cfg)),
            "trained_on": self.trained_on,
            "backbone": cfg.MODEL.BACKBONE.NAME,
            "backbone_sha256": self.backbone_sha256,
            "adapter_sha256": self.adapter_sha256,
            "shots": int(self.loaded.get("DATASET.NUM_SHOTS", cfg.DATASET.NUM_SHOTS)),
            "seed": int(self.loaded.get("SEED", cfg.SEED)),
            "accuracy": float(test_results["accuracy"]),  # upstream's are NumPy's
            "macro_f1": float(test_results["macro_f1"]),
            "n_test": len(dataset.test),
            "protocol": self.protocol,
            "tuned_on": str(self.protocol),
            "data": self.digests,
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "options": self.settings,
            "settings": inputs.fingerprint(self.settings),
            "versions": versions(),
        }
        path = write_result(self.output_dir, Result(**{**common, **fields}))
        print(f"Results saved to {path}")
