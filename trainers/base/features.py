"""What methods on frozen features are written with: features, labels and zero-shot logits of each split."""

import warnings
from dataclasses import asdict

import torch
from torch import nn

from imo.errors import InputError
from imo.measure.overlap import overlap
from imo.model.backbone import unknown_words
from imo.model.encode import text_classifier
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.corrections import choose_isoclip
from imo.trainers.base.foreign import templates_of, tuned_on
from imo.trainers.base.state import State
from imo.trainers.base.views import ViewEncoder


class FeatureTrainer(ClipTrainer):
    """A trainer on stored features.

    A split is "val", "test" or "support": test views, of the support images too, and the support set is in `val`'s
    place under DATASET.VALIDATION support. `tuning_split` names the one that hyper-parameters are chosen on; "test" can
    not be asked for before `test()` is called.
    """

    def build_model(self):
        self.seconds = {}
        with self.stage("load"):
            self.load_backbone()
            self.build_classifier()
        self.views = ViewEncoder(self.cfg, self.clip_model, self.backbone_sha256, self.adapter_sha256)
        self.state = State()
        self.val_accuracy = None
        self.report = {}  # what a method adds to results.json
        self.trained_on = self.cfg.DATASET.NAME
        self.tuning_split = "support" if self.cfg.DATASET.VALIDATION == "support" else "val"
        self.tuned_on = tuned_on(self.dm.dataset)
        if self.tuning_split == "support":
            self.tuned_on = "support (leave-one-out)" if self.tunable else "nothing (support, one shot)"
        self.is_testing = False
        self._features = {}

    def build_classifier(self):
        """Set `classifier` (C, d) from the class names and `templates`, and `logit_scale`."""
        names, backbone = self.dm.dataset.classnames, self.cfg.MODEL.BACKBONE.NAME
        self.templates = self.choose_templates(templates_of(self.dm.dataset, self.cfg.DATASET.NAME))
        prompts = [t.format(c.replace("_", " ")) for c in names for t in self.templates]
        print(f"Prompts: {prompts[:3]}{' ...' if len(prompts) > 3 else ''} ({len(prompts)} in all)")
        self.unknown_words = unknown_words(self.clip_model, prompts)
        if self.unknown_words:
            print(f"Warning: words that mean nothing to backbone '{backbone}': {', '.join(self.unknown_words)}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said above
            self.classifier = text_classifier(self.clip_model, names, self.templates).cpu()
        if not torch.isfinite(self.classifier).all():
            raise InputError(
                f"MODEL.BACKBONE.NAME: text features of '{backbone}' hold NaN or infinity; restore its weights"
            )
        self.logit_scale = float(self.clip_model.logit_scale.exp())

    def choose_templates(self, templates):
        """The prompts to use, given the dataset's."""
        return templates

    # Splits.

    def items(self, split):
        """The Datum list of "val", "test" or "support"."""
        if split == "test" and not self.is_testing:
            raise RuntimeError(f"{self.cfg.TRAINER.NAME} asks for the test set before it is tested")
        dataset = self.dm.dataset
        items = {"val": dataset.val, "test": dataset.test, "support": dataset.train_x}[split]
        if not items:
            raise InputError(
                f"DATASET.NAME: {self.cfg.DATASET.NAME} has no {split} images, which {self.cfg.TRAINER.NAME} needs"
                + ("; DATASET.VALIDATION support does without" if split == "val" else "")
            )
        return items

    def targets(self, split):
        """(N,) int64."""
        return torch.tensor([item.label for item in self.items(split)])

    def own_keys(self, split):
        """(N,) int64 position of each query's own key for "support", to be left out; None for the other splits."""
        return torch.arange(len(self.items(split))) if split == "support" else None

    @property
    def tunable(self):
        """Whether there is anything to tune on: leave-one-out needs a class with two support images."""
        if self.tuning_split != "support":
            return True
        return bool(self.support_labels().bincount().max() > 1)

    # Features.

    def features(self, split):
        """(N, d) CLIP's own features of a split, each computed once."""
        return self._encoded(split, "clip")

    def corrected_features(self, split):
        """(N, d) features of a split under the correction; CLIP's own where that is "none"."""
        return self.correct(self._encoded(split, self.encoder))

    def support_features(self):
        """(M, d) CLIP's own features of the support set, mean over augmented views."""
        return self.support_views("clip").mean(1)

    def corrected_support_features(self):
        """(M, d) features of the support set under the correction, mean over augmented views."""
        return self.corrected_support_views().mean(1)

    def support_views(self, encoder):
        """(M, passes, d) features of augmented views of the support set, each computed once."""
        if ("views", encoder) not in self._features:
            with self.stage("encode"):
                self._features["views", encoder] = self.views.support_views(self.items("support"), encoder)
        return self._features["views", encoder]

    def corrected_support_views(self):
        """(M, passes, d) features of augmented views of the support set under the correction."""
        return self.correct(self.support_views(self.encoder))

    def correct(self, features):
        """(..., d) features of `encoder`, under the linear map that the correction has (IsoCLIP's), if any. Its ranges
        are chosen at first need and kept in the state."""
        if self.isoclip is None:
            return features
        if not hasattr(self.state, "isoclip_top"):
            top, bottom = choose_isoclip(self)
            print(f"IsoCLIP drops the first {top} and the last {bottom} of {self.isoclip.rank} singular directions")
            self.state.set(isoclip_top=top, isoclip_bottom=bottom)
        return features @ self.isoclip.map(int(self.state.isoclip_top), int(self.state.isoclip_bottom))

    def support_labels(self):
        """(M,) int64."""
        return torch.tensor([item.label for item in self.items("support")])

    def zero_shot_logits(self, split):
        """`exp(logit_scale) f W^T` (100 for CLIP) on the original features, whatever the correction. (N, C)."""
        return self.logit_scale * nn.functional.normalize(self.features(split), dim=-1) @ self.classifier.T

    def measure_overlap(self):
        """Keep the overlap of the tuning images under the correction for the results, where they form pairs."""
        if self.tuning_split == "val" and not self.dm.dataset.val:
            return  # a method that needs none
        counts = self.targets(self.tuning_split).bincount()
        if counts.max() > 1 and (counts > 0).sum() > 1:
            features = self.corrected_features(self.tuning_split)
            with self.stage("overlap"):
                self.report["overlap"] = asdict(overlap(features, self.targets(self.tuning_split)))

    def _encoded(self, split, encoder):
        items = self.items(split)
        if (split, encoder) not in self._features:
            with self.stage("encode"):
                self._features[split, encoder] = self.views.test_features(items, encoder, f"{split} set")
        return self._features[split, encoder]
