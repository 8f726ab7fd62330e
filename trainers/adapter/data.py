"""Classes held out of adapter training, to measure overlap on."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from dassl.data import DataManager
from dassl.data.data_manager import build_data_loader
from yacs.config import CfgNode

from imo.errors import InputError
from imo.trainers.base.seeded_views import SeededViews


def held_out_classes(cfg: CfgNode, num_classes: int) -> list[int]:
    """Labels of the held-out classes, ascending: a share HOLD_OUT of all classes, two at least, drawn by cfg.SEED.

    Raises:
        InputError: fewer than two classes are left to train on.
    """
    count = max(2, round(cfg.TRAINER.IMOADAPTER.HOLD_OUT * num_classes))
    if count > num_classes - 2:
        raise InputError(f"TRAINER.IMOADAPTER.HOLD_OUT: {count} of {num_classes} classes leave none to train; lower it")
    return sorted(random.Random(cfg.SEED).sample(range(num_classes), count))


def split_by_class(cfg: CfgNode, manager: DataManager, held_out: Collection[int]) -> tuple[Any, Any]:
    """Two data loaders: the training images of all other classes, augmented; and the validation images of the held-out
    classes as they are (their training images, where the dataset has no validation images)."""
    data = manager.dataset
    kept = [item for item in data.train_x if item.label not in held_out]
    out = [item for item in data.val or data.train_x if item.label in held_out]
    return _loader_like(cfg, manager.train_loader_x, kept), _loader_like(cfg, manager.test_loader, out)


def _loader_like(cfg: CfgNode, loader: Any, items: list[Any]) -> Any:
    """A data loader with the settings of another one, over other items."""
    is_train = loader.dataset.is_train
    node = cfg.DATALOADER.TRAIN_X if is_train else cfg.DATALOADER.TEST
    return build_data_loader(
        cfg,
        sampler_type=node.SAMPLER,
        data_source=items,
        batch_size=node.BATCH_SIZE,
        n_ins=cfg.DATALOADER.TRAIN_X.N_INS,
        tfm=loader.dataset.transform,
        is_train=is_train,
        dataset_wrapper=SeededViews,
    )
