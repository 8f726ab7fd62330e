"""The splits of a dataset as a task and as queries, by way of the feature store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from yacs.config import CfgNode

from imo.classify.isoclip import IsoClip
from imo.errors import InputError
from imo.trainers.base.corrections import choose_isoclip, isoclip_ranges
from imo.trainers.base.foreign import protocol_of, title_of
from imo.trainers.base.task import ImageFunction, Queries, Task, TextClassifier
from imo.trainers.base.views import ViewEncoder


class DatasetTask:
    """Features of a dataset's splits, each encoded when it is first asked for, and once.

    A split is "val", "test" or "support": test views, of the support images too.

    Args:
        cfg: of the run.
        dataset: Dassl's.
        text: the classes.
        views: encodes images.
        isoclip: the singular directions, where the correction is IsoCLIP.
        settings: where the ranges that IsoCLIP drops are kept once they are chosen (isoclip_top, isoclip_bottom).
        stage: measures the time of a block under a name.
    """

    def __init__(
        self,
        cfg: CfgNode,
        dataset: Any,
        text: TextClassifier,
        views: ViewEncoder,
        isoclip: IsoClip | None,
        settings: dict[str, float],
        stage: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self.cfg, self.dataset, self.text, self.views = cfg, dataset, text, views
        self.isoclip, self.settings, self.stage = isoclip, settings, stage
        self.corrects = isoclip is not None or views.corrected_encoder == "adapter"
        self._features: dict[tuple[str, str], torch.Tensor] = {}
        support = self.queries("support")
        self.task = Task(
            text,
            labels=lambda: self.labels("support"),
            views=lambda: self.encoded("views", "clip"),
            corrected_views=(lambda: self.corrected("views")) if self.corrects else None,
            support=support,
            tuning=support
            if "support" in (cfg.DATASET.VALIDATION, protocol_of(dataset).images)
            else self.queries("val"),
            seed=cfg.SEED,
        )

    def queries(self, split: str) -> Queries:
        """The images of a split as queries."""
        return Queries(
            self.text,
            features=lambda: self.encoded(split, "clip"),
            corrected=(lambda: self.corrected(split)) if self.corrects else None,
            targets=lambda: self.labels(split),
            own_keys=(lambda: torch.arange(len(self.items(split)))) if split == "support" else None,
            rows=lambda key, function: self.rows(split, key, function),
        )

    def items(self, split: str) -> list[Any]:
        """The images of a split, as Dassl's Datum objects.

        Raises:
            InputError: there are none.
        """
        dataset, cfg = self.dataset, self.cfg
        items: list[Any] = {"val": dataset.val, "test": dataset.test, "support": dataset.train_x}[split]
        if not items:
            raise InputError(
                f"DATASET.NAME: {title_of(dataset, cfg)} has no {split} images, which {cfg.TRAINER.NAME} needs"
                + ("; DATASET.VALIDATION support does without" if split == "val" else "")
            )
        return items

    def labels(self, split: str) -> torch.Tensor:
        """(N,) int64 classes of a split."""
        return torch.tensor([item.label for item in self.items(split)])

    def encoded(self, split: str, encoder: str) -> torch.Tensor:
        """(N, d) features of a split's test views by the encoder "clip" or "adapter".

        For the split "views": (M, P, d) features of the augmented views of the support set.
        """
        if (split, encoder) not in self._features:
            augmented = split == "views"
            part = "support" if augmented else split
            items = self.items(part)
            with self.stage("encode"):
                self._features[split, encoder] = self.views.features(items, encoder, f"{part} set", augmented)
        return self._features[split, encoder]

    def corrected(self, split: str) -> torch.Tensor:
        """The same under the correction: by its encoder and, for IsoCLIP, its linear map."""
        features = self.encoded(split, self.views.corrected_encoder)
        if self.isoclip is None:
            return features
        if "isoclip_top" not in self.settings:
            pairs = isoclip_ranges(self.cfg.IMO.ISOCLIP, self.isoclip.rank)
            top, bottom = choose_isoclip(self.isoclip, pairs, self.task)
            print(f"IsoCLIP drops the first {top} and the last {bottom} of {self.isoclip.rank} singular directions")
            self.settings.update(isoclip_top=float(top), isoclip_bottom=float(bottom))
        return features @ self.isoclip.map(int(self.settings["isoclip_top"]), int(self.settings["isoclip_bottom"]))

    def rows(self, split: str, key: Mapping[str, object], function: ImageFunction) -> torch.Tensor:
        """(N, k) rows that a method computes from a split's images; see `Queries.computed`."""
        items, model = self.items(split), self.views.model
        with self.stage("encode"):
            return self.views.rows(items, key, lambda batch: function(model, batch), f"{split} set (images)")
