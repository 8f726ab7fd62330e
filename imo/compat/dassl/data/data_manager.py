"""The data loaders of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from tabulate import tabulate
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from imo.errors import InputError

from .datasets import Datum, build_dataset
from .samplers import build_sampler
from .transforms import build_transform
from .wrapper import DatasetWrapper, Sample

__all__ = ["DataManager", "DatasetWrapper", "build_data_loader"]


def build_data_loader(
    cfg: CfgNode,
    sampler_type: str = "SequentialSampler",
    data_source: Sequence[Datum] = (),
    batch_size: int = 64,
    n_domain: int = 0,
    n_ins: int = 2,
    tfm: Any = None,
    is_train: bool = True,
    dataset_wrapper: Callable[..., Any] | None = None,
) -> DataLoader[Sample]:
    """A loader of samples.

    In training, a last batch that is not full is dropped, unless it is the only one.

    Args:
        cfg: the configuration.
        sampler_type: see `build_sampler`, as for n_domain and n_ins.
        data_source: the items.
        batch_size: items a batch.
        n_domain: domains a batch; not used.
        n_ins: items of each class in a batch, for samplers by class.
        tfm: the transform of images.
        is_train: whether for training.
        dataset_wrapper: class of the torch Dataset that loads the images; default: DatasetWrapper.

    Raises:
        ValueError: there is no batch.
    """
    sampler = build_sampler(
        sampler_type, cfg=cfg, data_source=data_source, batch_size=batch_size, n_domain=n_domain, n_ins=n_ins
    )
    wrap = dataset_wrapper or DatasetWrapper
    loader: DataLoader[Sample] = DataLoader(
        wrap(cfg, data_source, transform=tfm, is_train=is_train),
        batch_size=batch_size,
        sampler=sampler,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        drop_last=is_train and len(data_source) >= batch_size,
        pin_memory=torch.cuda.is_available() and cfg.USE_CUDA,
    )
    if len(loader) == 0:
        raise InputError("DATALOADER: no batch; the data are empty, or the sampler draws less than BATCH_SIZE")
    return loader


class DataManager:
    """The data set that the configuration names, and a loader for each of its parts.

    Attributes:
        dataset: the data set.
        train_loader_x: labelled training samples.
        train_loader_u: unlabelled training samples, or None.
        val_loader: validation samples, or None.
        test_loader: test samples.
        num_source_domains: the number of source domains.
    """

    num_classes = property(attrgetter("dataset.num_classes"), doc="The number of classes.")
    lab2cname = property(attrgetter("dataset.lab2cname"), doc="{label: class name}.")

    def __init__(
        self,
        cfg: CfgNode,
        custom_tfm_train: Any = None,
        custom_tfm_test: Any = None,
        dataset_wrapper: Callable[..., Any] | None = None,
    ) -> None:
        self.dataset = build_dataset(cfg)
        tfm_train = self._transform(cfg, custom_tfm_train, "training", is_train=True)
        tfm_test = self._transform(cfg, custom_tfm_test, "testing", is_train=False)

        def loader(data: Sequence[Datum], node: CfgNode, is_train: bool = True) -> DataLoader[Sample]:
            return build_data_loader(
                cfg,
                sampler_type=node.SAMPLER,
                data_source=data,
                batch_size=node.BATCH_SIZE,
                n_ins=node.get("N_INS", 2),  # the node TEST has none
                tfm=tfm_train if is_train else tfm_test,
                is_train=is_train,
                dataset_wrapper=dataset_wrapper,
            )

        data, nodes = self.dataset, cfg.DATALOADER
        node_u = nodes.TRAIN_X if nodes.TRAIN_U.SAME_AS_X else nodes.TRAIN_U
        self.train_loader_x = loader(data.train_x, nodes.TRAIN_X)
        self.train_loader_u = loader(data.train_u, node_u) if data.train_u else None
        self.val_loader = loader(data.val, nodes.TEST, is_train=False) if data.val else None
        self.test_loader = loader(data.test, nodes.TEST, is_train=False)

        self.num_source_domains = len(cfg.DATASET.SOURCE_DOMAINS)
        if cfg.VERBOSE:
            self.show_dataset_summary(cfg)

    @staticmethod
    def _transform(cfg: CfgNode, custom: Any, purpose: str, is_train: bool) -> Any:
        """The custom transform if one is given, else the one that the configuration describes."""
        if custom is None:
            return build_transform(cfg, is_train=is_train)
        print(f"* Using custom transform for {purpose}")
        return custom

    def show_dataset_summary(self, cfg: CfgNode) -> None:
        """Print a table of the number of classes and of samples in each part."""
        data = self.dataset
        rows = [
            ("Dataset", getattr(data, "title", cfg.DATASET.NAME)),
            ("Source", cfg.DATASET.SOURCE_DOMAINS),
            ("Target", cfg.DATASET.TARGET_DOMAINS),
            ("# classes", f"{self.num_classes:,}"),
            ("# train_x", f"{len(data.train_x):,}"),
            ("# train_u", f"{len(data.train_u):,}" if data.train_u else ""),
            ("# val", f"{len(data.val):,}" if data.val else ""),
            ("# test", f"{len(data.test):,}"),
        ]
        print(tabulate([row for row in rows if row[1]]))
