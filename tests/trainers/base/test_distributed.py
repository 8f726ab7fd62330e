"""Batches that several processes share."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from imo.errors import InputError
from imo.trainers.base import distributed


def test_batch_that_cannot_be_shared_out(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    for size, images in ((6, 100), (8, 3)):
        loader = SimpleNamespace(batch_sampler=SimpleNamespace(batch_size=size), dataset=range(images))
        with pytest.raises(InputError, match=r"BATCH_SIZE.*4 processes"):
            distributed.shared_out(loader)


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_takes_its_part_of_every_batch(monkeypatch, rank):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    loader = DataLoader(TensorDataset(torch.arange(10)), batch_size=4, drop_last=True)
    assert [batch.tolist() for (batch,) in distributed.shared_out(loader)] == [[rank, rank + 2], [rank + 4, rank + 6]]
