"""Samplers: the order in which a loader takes items."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import RandomSampler, Sampler, SequentialSampler
from yacs.config import CfgNode

from imo.errors import InputError

from .datasets import Datum

AVAI_SAMPLERS = ["RandomSampler", "SequentialSampler", "RandomClassSampler"]


class RandomClassSampler(Sampler[int]):
    """Fills each batch with n_ins items of each of batch_size // n_ins random classes.

    A class of fewer than n_ins items is drawn from with replacement. An epoch ends when too few classes have n_ins
    items left.
    """

    def __init__(self, data_source: Sequence[Datum], batch_size: int, n_ins: int) -> None:
        if batch_size < n_ins:
            raise InputError(
                f"DATALOADER: BATCH_SIZE {batch_size} must be no less than N_INS {n_ins} of RandomClassSampler"
            )
        self.n_ins = n_ins
        self.classes_per_batch = batch_size // n_ins
        self.index_by_label: defaultdict[int, list[int]] = defaultdict(list)
        for index, item in enumerate(data_source):
            self.index_by_label[item.label].append(index)
        if len(self.index_by_label) < self.classes_per_batch:
            raise InputError(
                f"DATALOADER: a batch of RandomClassSampler has {self.classes_per_batch} classes (BATCH_SIZE / N_INS), "
                f"and there are {len(self.index_by_label)}; lower BATCH_SIZE"
            )
        # How many items an epoch takes depends on chance, so the length is that of a trial epoch.
        self.length = sum(1 for _ in self)

    def __iter__(self) -> Iterator[int]:
        portions = {label: self._portions(indices) for label, indices in self.index_by_label.items()}
        labels = list(portions)
        drawn: list[int] = []
        while len(labels) >= self.classes_per_batch:
            for label in random.sample(labels, self.classes_per_batch):
                drawn += portions[label].pop(0)
                if not portions[label]:
                    labels.remove(label)
        return iter(drawn)

    def __len__(self) -> int:
        return self.length

    def _portions(self, indices: list[int]) -> list[list[int]]:
        """The indices of a class's items, shuffled, in lists of n_ins; a shorter last list is left out."""
        n = self.n_ins
        shuffled = list(indices) if len(indices) >= n else np.random.choice(indices, size=n, replace=True).tolist()
        random.shuffle(shuffled)
        return [shuffled[start : start + n] for start in range(0, len(shuffled) - n + 1, n)]


def build_sampler(
    sampler_type: str,
    cfg: CfgNode | None = None,
    data_source: Sequence[Datum] = (),
    batch_size: int = 32,
    n_domain: int = 0,
    n_ins: int = 16,
) -> Sampler[int]:
    """A sampler by its name in AVAI_SAMPLERS. `cfg` and `n_domain` are not used: upstream has samplers by domain, too.

    Raises:
        ValueError: another name.
    """
    if sampler_type == "RandomSampler":
        return RandomSampler(data_source)
    if sampler_type == "SequentialSampler":
        return SequentialSampler(data_source)
    if sampler_type == "RandomClassSampler":
        return RandomClassSampler(data_source, batch_size, n_ins)
    raise ValueError(f"sampler must be one of {AVAI_SAMPLERS} (samplers by domain are left out), got {sampler_type}")
