"""The Dassl life around a method: encode once, fit, checkpoint, test, load. It has a method and is none."""

from __future__ import annotations

import datetime
import time
from typing import Any, ClassVar

import torch
from dassl.optim import build_optimizer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from imo.errors import InputError, reason
from imo.measure.overlap import OverlapReport, overlap
from imo.protocol import Protocol
from imo.results import write_surface
from imo.rules import Rule, one_of
from imo.trainers.base import distributed, folders
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.dataset_task import DatasetTask
from imo.trainers.base.foreign import protocol_of, templates_of, title_of
from imo.trainers.base.gradient import GradientMethod, Groups, Training
from imo.trainers.base.methods import Method
from imo.trainers.base.options import method_options, method_rules, node_of
from imo.trainers.base.schedule import build_schedule
from imo.trainers.base.task import Queries
from imo.trainers.base.texts import classifier_of
from imo.trainers.base.views import ViewEncoder


class MethodTrainer(ClipTrainer):
    """Runs a method on stored features of a dataset. `imo.trainers.base.registry` makes a subclass for each method.

    Attributes of an object:
        method: the method.
        data: the dataset's splits as queries.
        task: what the method is fitted to.
        loaded_from: the folder that the method's state was loaded from; empty where it was fitted.
    """

    method_class: ClassVar[type[Method]]
    loaded_from = ""
    runs_in_several_processes = True

    @classmethod
    def rules(cls, cfg: Any) -> dict[str, Rule]:
        trained = issubclass(cls.method_class, GradientMethod)  # by parameter groups, which STAGED_LR makes itself
        staged = {"OPTIM.STAGED_LR": one_of((False,))} if trained else {}
        return {**super().rules(cfg), **method_rules(cls.method_class, cfg), **staged}

    def check_cfg(self, cfg: Any) -> None:
        super().check_cfg(cfg)
        if cfg.RESUME:
            raise InputError(
                f"--resume: {cfg.TRAINER.NAME} is fitted in one piece, with nothing to go on from; omit it"
            )
        options = method_options(self.method_class, cfg)
        if issubclass(self.method_class, GradientMethod):
            options["training"] = training_of(cfg)
        elif cfg.OPTIM.MAX_EPOCH != 1:  # some checkouts set it after all options
            epochs = cfg.OPTIM.MAX_EPOCH
            print(f"OPTIM.MAX_EPOCH {epochs}: has no meaning for {cfg.TRAINER.NAME}, which makes one pass")
        try:
            self.method = self.method_class(**options)
        except InputError as error:  # names an argument
            name, _, what = str(error).partition(":")
            raise InputError(f"TRAINER.{node_of(self.method_class)}.{name.upper()}:{what}") from error

    def build_model(self) -> None:
        cfg, dataset = self.cfg, self.dm.dataset
        self.max_epoch = 1  # of Dassl's loop, which fits, saves and tests
        with self.stage("load"):
            self.load_backbone()
            templates = self.method.choose_templates(templates_of(dataset, cfg.DATASET.NAME))
            self.text, self.prompts = classifier_of(
                self.clip_model, cfg.MODEL.BACKBONE.NAME, dataset.classnames, templates
            )
        self.views = ViewEncoder(cfg, self.clip_model, self.backbone_sha256, self.adapter_sha256)
        if self.method.reads_both:
            self.views.both = ("test", "train")
        self.data = DatasetTask(cfg, dataset, self.text, self.views, self.isoclip, self.method.settings, self.stage)
        self.task = self.data.task
        self.protocol = protocol_of(dataset)
        self.overlap: OverlapReport | None = None
        self.register_model("cache", self.method)

    def before_train(self) -> None:
        self.time_start = time.time()

    def run_epoch(self) -> None:
        method, dataset = self.method, self.dm.dataset
        with self.stage("fit"):
            method.fit(self.task)
        self.protocol = self.protocol_after(method)
        self.say_what_was_chosen()
        if method.surface is not None and distributed.rank() == 0:
            write_surface(self.output_dir, method.surface)
        if self.method_class.correction != "none":  # a method that reads corrected features
            self.measure_overlap()
        method.about = {"classes": list(dataset.classnames), "inputs": self.inputs()}
        class_ids = getattr(dataset, "class_ids", None)
        if class_ids is not None:
            method.about["class_ids"] = list(class_ids)

    def protocol_after(self, method: Method) -> Protocol:
        """On what the fitted method's settings were chosen."""
        by = method.chosen_by
        if by in (None, "one shot"):
            return self.protocol.nothing(by or "")
        return self.protocol if by == "validation" else self.protocol.on_support(by)

    def say_what_was_chosen(self) -> None:
        """Print the settings, and where they come from."""
        method = self.method
        settings = ", ".join(f"{name} {value:.4g}" for name, value in method.settings.items())
        if method.chosen_by == "one shot":
            why = "One support image a class and no validation images: nothing to tune on"
            print(f"{why}, fixed setting {settings}")
        elif method.tuning_accuracy is not None:
            print(f"Search on {self.protocol}: {settings}, accuracy {method.tuning_accuracy:.2f}%")

    def measure_overlap(self) -> None:
        """Measure the overlap of the tuning images under the correction, where they form pairs."""
        if not self.task.leaves_one_out and not self.dm.dataset.val:
            return  # a method that needs none
        queries = self.task.tuning
        counts = queries.targets.bincount()
        if counts.max() > 1 and (counts > 0).sum() > 1:
            features = queries.corrected
            with self.stage("overlap"):
                self.overlap = overlap(features, queries.targets)

    def after_epoch(self) -> None:
        # val_result is always a number: upstream's load_model formats it.
        self.save_model(self.epoch, self.output_dir, is_best=True, val_result=self.method.tuning_accuracy or 0.0)

    def after_train(self) -> None:
        print("Finish training")
        if not self.cfg.TEST.NO_TEST:
            self.test()
        print(f"Elapsed: {datetime.timedelta(seconds=round(time.time() - self.time_start))}")

    def load_state(self, directory: str, epoch: int | None) -> None:
        super().load_state(directory, epoch)
        if not directory:
            return
        self.loaded_from = directory
        with folders.checkpoint_errors(f"--model-dir: the state in {directory}", "train again"):
            self.match_classes(directory)
        if not self.loaded:
            raise InputError(f"--model-dir: the state in {directory} is of an earlier version; train again")
        if self.method.about.get("classes") != list(self.dm.dataset.classnames):
            raise InputError(
                f"--model-dir: {directory} holds the state of other classes; give a folder of {self.cfg.TRAINER.NAME} "
                f"on the classes of {title_of(self.dm.dataset, self.cfg)}{self.of_new_classes()}"
            )

    def of_new_classes(self) -> str:
        """What to do from base to new classes: of the new ones there are no labelled images."""
        which = self.cfg.DATASET.get("SUBSAMPLE_CLASSES", "all")
        if which == "all":
            return ""
        same = f"under the same DATASET.SUBSAMPLE_CLASSES (here {which})"
        return f" {same}; on classes without labelled images, test ZeroshotCLIP, CoOp or CoCoOp"

    def match_classes(self, directory: str) -> None:
        """Bring a loaded state to the dataset's classes where both number them (ImageNet and its variants)."""
        dataset, about = self.dm.dataset, self.method.about
        class_ids = getattr(dataset, "class_ids", None)
        if class_ids is None or "class_ids" not in about:
            return
        source = {number: label for label, number in enumerate(about["class_ids"])}
        strangers = [dataset.classnames[i] for i, number in enumerate(class_ids) if number not in source]
        if strangers:
            raise InputError(
                f"--model-dir: {directory} lacks {len(strangers)} classes of {title_of(dataset, self.cfg)} "
                f"({strangers[0]} ...); give a state that has all"
            )
        source_classes = [source[number] for number in class_ids]
        if source_classes != list(range(len(source))):
            try:
                self.method.restrict(torch.tensor(source_classes))
            except InputError as error:
                raise InputError(f"--model-dir: {error}") from error
        self.method.about = {**about, "class_ids": list(class_ids), "classes": list(dataset.classnames)}

    def logits(self, queries: Queries) -> torch.Tensor:
        """The method's logits; InputError for a state that was loaded and does not fit itself."""
        try:
            logits = self.method.logits(queries)
            if logits.shape != (len(queries.targets), self.num_classes):
                raise ValueError(f"logits of shape {tuple(logits.shape)}")
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if not self.loaded_from or isinstance(error, InputError):
                raise
            raise InputError(
                f"--model-dir: the state in {self.loaded_from} is damaged ({reason(error)}); train again"
            ) from error
        return logits

    def evaluate(self, split: str) -> dict[str, Any]:
        method, queries = self.method, self.data.queries(split)
        if self.needs_shots and not method.about:  # PLOT++'s train.py loads nothing
            raise InputError(
                f"--eval-only: {self.cfg.TRAINER.NAME} has no state to test, since this train.py has loaded none; test "
                f"in the run that trains, or with another train.py"
            )
        self.evaluator.process(self.logits(queries), queries.targets)
        name, base = self.names()
        return {
            "method": name,
            "base": base,
            "hyper_parameters": method.settings,
            "val_accuracy": method.tuning_accuracy,
            "transductive": method.transductive,
            "prompts": self.prompts,
            "overlap": self.overlap,
            "images_encoded": self.views.encoded,
        }

    def names(self) -> tuple[str, str | None]:
        """What tables call the method, and the method that it is compared with as a correction of it, if it is one."""
        method = self.method_class
        name, fixed = method.__name__, method.correction is not None
        if self.correction == "none":
            return name, None
        return (name if fixed else f"{name} ({self.correction})"), (method.base or method).__name__


def training_of(cfg: Any) -> Training:
    """How a config has a method trained: OPTIM as Dassl reads it, with our schedules."""

    def optimizer(groups: Groups) -> tuple[Optimizer, LRScheduler]:
        made = build_optimizer(groups, cfg.OPTIM)
        return made, build_schedule(made, cfg.OPTIM)

    best_epoch = cfg.TEST.FINAL_MODEL == "best_val"
    return Training(cfg.OPTIM.MAX_EPOCH, cfg.DATALOADER.TRAIN_X.BATCH_SIZE, best_epoch, optimizer)
