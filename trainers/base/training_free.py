"""The life of a training-free trainer: encode once, fit, checkpoint, test, load."""

import datetime
import time

import torch
from dassl.engine import TRAINER_REGISTRY

from imo.errors import InputError
from imo.results import read_results
from imo.trainers.base.features import FeatureTrainer
from imo.trainers.base.state import digest


def cache_method(cls):
    """Registers a cache method and its ++ variant: a trainer of the name with PP, which is the same method with its
    image features corrected by adapters."""
    corrected = type(f"{cls.__name__}PP", (cls,), {"__doc__": cls.__doc__, "correction": "adapter"})
    corrected.__module__ = cls.__module__
    TRAINER_REGISTRY.register(corrected)
    return TRAINER_REGISTRY.register()(cls)


class TrainingFreeTrainer(FeatureTrainer):
    """Encodes once, fits in closed form or by search, and lives Dassl's life: train, checkpoint, test, load.

    A method gives `fit()`, which fills `self.state`, and `logits(split)`; one with hyper-parameters also `one_shot`,
    the setting for one support image a class and no validation images.
    """

    training_free = True
    runs_in_several_processes = True
    one_shot = {}

    def build_model(self):
        super().build_model()
        self.register_model("cache", self.state)

    def fit(self):
        """Fill `self.state` from support and tuning images; set `val_accuracy`."""
        raise NotImplementedError

    def logits(self, split):
        """(N, C) logits of a split."""
        raise NotImplementedError

    def keep_one_shot_setting(self):
        """With one support image a class and no other image there is nothing to tune on: the class of an image that is
        left out has no key, so that its cache can only mislead. The method's `one_shot` setting is kept."""
        self.state.set(**self.one_shot)
        settings = ", ".join(f"{name} {value:g}" for name, value in self.one_shot.items())
        print(f"One support image a class and DATASET.VALIDATION support: nothing to tune on, fixed setting {settings}")

    def choose(self, split, candidates):
        """Keep the first setting under which most images of a split are classified correctly.

        candidates: (setting as a dict of numbers, its (N, C) logits) in the order of preference.
        """
        targets, most = self.targets(split), -1
        for setting, logits in candidates:
            right = int((logits.argmax(1) == targets).sum())
            if right > most:
                best, most = setting, right
        self.state.set(**best)
        self.keep_accuracy(100.0 * most / len(targets))

    def keep_accuracy(self, accuracy):
        """Keep the tuning accuracy (percent) of the setting that was found, and say so."""
        self.val_accuracy = accuracy
        settings = ", ".join(f"{name} {value:.4g}" for name, value in self.state.settings().items())
        print(f"Search on {self.tuned_on}: {settings}, accuracy {accuracy:.2f}%")

    # Dassl's life.

    def before_train(self):
        self.time_start = time.time()

    def run_epoch(self):
        if self.training_free and self.cfg.OPTIM.MAX_EPOCH != 1:
            raise InputError(f"OPTIM.MAX_EPOCH: {self.cfg.TRAINER.NAME} is training-free, expected 1")
        self.fit()
        if type(self).correction != "none":  # a method that reads corrected features
            self.measure_overlap()
        for name, words in self.belongings().items():
            setattr(self.state, name, digest(words))
        class_ids = getattr(self.dm.dataset, "class_ids", None)
        if class_ids is not None:
            self.state.class_ids = torch.tensor(class_ids)

    def after_epoch(self):
        # val_result is always a number: upstream's load_model formats it.
        self.save_model(self.epoch, self.output_dir, is_best=True, val_result=self.val_accuracy or 0.0)

    def belongings(self):
        """What a state belongs to, by the name under which it keeps a digest of it."""
        return {
            "classes": self.dm.dataset.classnames,
            "method": [self.cfg.TRAINER.NAME, self.backbone_sha256, self.adapter_sha256 or "", self.correction],
        }

    def after_train(self):
        print("Finish training")
        if not self.cfg.TEST.NO_TEST:
            self.test()
        print(f"Elapsed: {datetime.timedelta(seconds=round(time.time() - self.time_start))}")

    def load_model(self, directory, epoch=None):
        super().load_model(directory, epoch)
        if not directory:
            return
        self.match_classes(directory)
        for name, words in self.belongings().items():
            if not torch.equal(getattr(self.state, name, torch.tensor([])), digest(words)):
                what = "other classes" if name == "classes" else "another trainer, backbone, adapter or correction"
                raise InputError(
                    f"--model-dir: {directory} holds the state of {what}; give a folder of {self.cfg.TRAINER.NAME} on "
                    f"the classes of {self.cfg.DATASET.NAME}"
                )
        source = read_results(directory) or {}
        self.trained_on, self.tuned_on = source.get("dataset"), source.get("tuned_on")

    def match_classes(self, directory):
        """Bring a loaded state to the dataset's classes where both number them (ImageNet and its variants)."""
        class_ids = getattr(self.dm.dataset, "class_ids", None)
        if class_ids is None or not hasattr(self.state, "class_ids"):
            return
        source = {number: label for label, number in enumerate(self.state.class_ids.tolist())}
        strangers = [self.dm.dataset.classnames[i] for i, number in enumerate(class_ids) if number not in source]
        if strangers:
            raise InputError(
                f"--model-dir: {directory} lacks {len(strangers)} classes of {self.cfg.DATASET.NAME} "
                f"({strangers[0]} ...); give a state that has all"
            )
        source_classes = [source[number] for number in class_ids]
        if source_classes != list(range(len(source))):
            self.restrict(torch.tensor(source_classes))
        self.state.class_ids = torch.tensor(class_ids)
        self.state.classes = digest(self.belongings()["classes"])

    def restrict(self, source_classes):
        """Keep what the state has of these of its classes, (C,) int64, numbered by their place; where a method can."""
        raise InputError(
            f"--model-dir: a state of {self.cfg.TRAINER.NAME} cannot be restricted to a part of its classes"
        )

    @torch.no_grad()
    def test(self, split=None):
        split = split or self.cfg.TEST.SPLIT
        print(f"Evaluate on the *{split}* set")
        self.is_testing = self.is_testing or split == "test"
        logits = self.logits(split)
        with self.stage("test"):
            self.evaluator.reset()
            self.evaluator.process(logits, self.targets(split))
            results = self.evaluator.evaluate()
        if split == "test":
            self.write_results(
                results,
                tuned_on=self.tuned_on if self.state.settings() else None,
                hyper_parameters=self.state.settings(),
                val_accuracy=self.val_accuracy,
                images_encoded=self.views.encoded,
                trained_on=self.trained_on,
                unknown_prompt_words=self.unknown_words,
                **self.report,
            )
        return results["accuracy"]
