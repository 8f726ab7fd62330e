"""The Dassl life around a method: encode once, fit, checkpoint, test, load. It has a method and is none."""

from __future__ import annotations

import datetime
import time
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from dassl.optim import build_optimizer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from imo.errors import InputError
from imo.measure.overlap import OverlapReport, overlap
from imo.model.backbone import unknown_words
from imo.model.encode import encode_texts, text_classifier
from imo.protocol import Protocol
from imo.results import Prompts, read_result, write_surface
from imo.trainers.base import distributed
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.corrections import choose_isoclip, isoclip_ranges
from imo.trainers.base.foreign import protocol_of, templates_of
from imo.trainers.base.gradient import GradientMethod, Groups, Training
from imo.trainers.base.methods import Method
from imo.trainers.base.options import method_options, node_of
from imo.trainers.base.schedule import build_schedule
from imo.trainers.base.task import ImageFunction, Queries, Task, TextClassifier
from imo.trainers.base.views import ViewEncoder


class MethodTrainer(ClipTrainer):
    """Runs a method on stored features of a dataset; `imo.trainers.base.registry` makes one such class a method.

    A split is "val", "test" or "support": test views, of the support images too. Under DATASET.VALIDATION support the
    support set is in `val`'s place.
    """

    method_class: ClassVar[type[Method]]
    runs_in_several_processes = True

    def check_cfg(self, cfg: Any) -> None:
        super().check_cfg(cfg)
        options = method_options(self.method_class, cfg)
        if issubclass(self.method_class, GradientMethod):
            options["training"] = training_of(cfg)
        elif cfg.OPTIM.MAX_EPOCH != 1:
            raise InputError(f"OPTIM.MAX_EPOCH: {cfg.TRAINER.NAME} is training-free, expected 1")
        try:
            self.method = self.method_class(**options)
        except InputError as error:  # names an argument
            name, _, what = str(error).partition(":")
            raise InputError(f"TRAINER.{node_of(self.method_class)}.{name.upper()}:{what}") from error

    def build_model(self) -> None:
        cfg, dataset = self.cfg, self.dm.dataset
        self.max_epoch = 1  # of Dassl's loop, which fits, saves and tests
        self.seconds = {}
        with self.stage("load"):
            self.load_backbone()
            self.text = self.build_text()
        self.views = ViewEncoder(cfg, self.clip_model, self.backbone_sha256, self.adapter_sha256)
        if self.method.reads_both:
            self.views.both = ("test", "train")
        self.trained_on = cfg.DATASET.NAME
        self.protocol = protocol_of(dataset)
        self.overlap: OverlapReport | None = None
        self.task = self.build_task()
        self.register_model("cache", self.method)

    def build_text(self) -> TextClassifier:
        """The text classifier of the dataset's classes and the method's choice of prompts; sets `prompts`."""
        cfg, model = self.cfg, self.clip_model
        names, backbone = self.dm.dataset.classnames, cfg.MODEL.BACKBONE.NAME
        templates = self.method.choose_templates(templates_of(self.dm.dataset, cfg.DATASET.NAME))
        prompts = [t.format(c.replace("_", " ")) for c in names for t in templates]
        print(f"Prompts: {prompts[:3]}{' ...' if len(prompts) > 3 else ''} ({len(prompts)} in all)")
        unknown = unknown_words(model, prompts)
        if unknown:
            print(f"Warning: words that mean nothing to backbone '{backbone}': {', '.join(unknown)}")
        self.prompts = Prompts(templates=tuple(templates), unknown_words=tuple(unknown))

        def raw() -> torch.Tensor:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # unknown words are said above
                return encode_texts(model, names, templates).mean(1).cpu()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weights = text_classifier(model, names, templates).cpu()
        if not torch.isfinite(weights).all():
            raise InputError(
                f"MODEL.BACKBONE.NAME: text features of '{backbone}' hold NaN or infinity; restore its weights"
            )
        return TextClassifier(weights, float(model.logit_scale.exp()), raw)

    # The task, encoded when it is asked for.

    def build_task(self) -> Task:
        """The task of the dataset's support and tuning images."""
        self._features: dict[tuple[str, str], torch.Tensor] = {}
        support = self.queries("support")
        return Task(
            self.text,
            labels=lambda: self.labels("support"),
            views=lambda: self.encoded("views", "clip"),
            corrected_views=(lambda: self.corrected("views")) if self.correction != "none" else None,
            support=support,
            tuning=support if self.cfg.DATASET.VALIDATION == "support" else self.queries("val"),
            seed=self.cfg.SEED,
        )

    def queries(self, split: str) -> Queries:
        """The images of a split as queries."""
        return Queries(
            self.text,
            features=lambda: self.encoded(split, "clip"),
            corrected=(lambda: self.corrected(split)) if self.correction != "none" else None,
            targets=lambda: self.labels(split),
            own_keys=(lambda: torch.arange(len(self.items(split)))) if split == "support" else None,
            rows=lambda key, function: self.rows(split, key, function),
        )

    def items(self, split: str) -> list[Any]:
        """The images of "val", "test" or "support", as Dassl's Datum objects."""
        dataset = self.dm.dataset
        items: list[Any] = {"val": dataset.val, "test": dataset.test, "support": dataset.train_x}[split]
        if not items:
            raise InputError(
                f"DATASET.NAME: {self.cfg.DATASET.NAME} has no {split} images, which {self.cfg.TRAINER.NAME} needs"
                + ("; DATASET.VALIDATION support does without" if split == "val" else "")
            )
        return items

    def labels(self, split: str) -> torch.Tensor:
        """(N,) int64 classes of a split."""
        return torch.tensor([item.label for item in self.items(split)])

    def encoded(self, split: str, encoder: str) -> torch.Tensor:
        """(N, d) features of a split's test views by "clip" or "adapter"; for "views", (M, P, d) of the augmented views
        of the support set. Each is encoded once."""
        if (split, encoder) not in self._features:
            items = self.items("support" if split == "views" else split)
            with self.stage("encode"):
                if split == "views":
                    self._features[split, encoder] = self.views.support_views(items, encoder)
                else:
                    self._features[split, encoder] = self.views.test_features(items, encoder, f"{split} set")
        return self._features[split, encoder]

    def corrected(self, split: str) -> torch.Tensor:
        """The same under the correction: by its encoder, and its linear map (IsoCLIP's), if it has one.

        The map's ranges are chosen at first need, and kept with the method's settings.
        """
        features = self.encoded(split, self.encoder)
        if self.isoclip is None:
            return features
        settings = self.method.settings
        if "isoclip_top" not in settings:
            pairs = isoclip_ranges(self.cfg.IMO.ISOCLIP, self.isoclip.rank)
            top, bottom = choose_isoclip(self.isoclip, pairs, self.task)
            print(f"IsoCLIP drops the first {top} and the last {bottom} of {self.isoclip.rank} singular directions")
            settings.update(isoclip_top=float(top), isoclip_bottom=float(bottom))
        return features @ self.isoclip.map(int(settings["isoclip_top"]), int(settings["isoclip_bottom"]))

    def rows(self, split: str, key: Mapping[str, object], function: ImageFunction) -> torch.Tensor:
        """(N, k) rows that a method computes from a split's images; see `Queries.computed`."""
        items = self.items(split)
        with self.stage("encode"):
            return self.views.rows(items, key, lambda batch: function(self.clip_model, batch), f"{split} set (images)")

    # Dassl's life.

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
        method.about = self.belongings()
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
            why = "One support image a class and DATASET.VALIDATION support: nothing to tune on"
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

    def belongings(self) -> dict[str, Any]:
        """What a state belongs to, kept with it."""
        return {
            "classes": list(self.dm.dataset.classnames),
            "trainer": self.cfg.TRAINER.NAME,
            "backbone_sha256": self.backbone_sha256,
            "adapter_sha256": self.adapter_sha256,
            "correction": self.correction,
        }

    def load_model(self, directory: str, epoch: int | None = None) -> None:
        super().load_model(directory, epoch)
        if not directory:
            return
        self.match_classes(directory)
        for name, value in self.belongings().items():
            if self.method.about.get(name) != value:
                what = "other classes" if name == "classes" else "another trainer, backbone, adapter or correction"
                raise InputError(
                    f"--model-dir: {directory} holds the state of {what}; give a folder of {self.cfg.TRAINER.NAME} on "
                    f"the classes of {self.cfg.DATASET.NAME}"
                )
        source = read_result(directory)
        if source is not None:
            self.trained_on, self.protocol = source.trained_on, source.protocol

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
                f"--model-dir: {directory} lacks {len(strangers)} classes of {self.cfg.DATASET.NAME} "
                f"({strangers[0]} ...); give a state that has all"
            )
        source_classes = [source[number] for number in class_ids]
        if source_classes != list(range(len(source))):
            try:
                self.method.restrict(torch.tensor(source_classes))
            except InputError as error:
                raise InputError(f"--model-dir: {error}") from error
        self.method.about = {**about, "class_ids": list(class_ids), "classes": list(dataset.classnames)}

    @torch.no_grad()
    def test(self, split: str | None = None) -> float:
        split = split or self.cfg.TEST.SPLIT
        print(f"Evaluate on the *{split}* set")
        method, queries = self.method, self.queries(split)
        with self.stage("test"):
            logits = method.logits(queries)
            self.evaluator.reset()
            self.evaluator.process(logits, queries.targets)
            results: dict[str, float] = self.evaluator.evaluate()
        if split == "test":
            self.write_result(
                results,
                hyper_parameters=method.settings,
                val_accuracy=method.tuning_accuracy,
                transductive=method.transductive,
                prompts=self.prompts,
                overlap=self.overlap,
                images_encoded=self.views.encoded,
            )
        return results["accuracy"]

    def method_names(self) -> tuple[str, str | None]:
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
