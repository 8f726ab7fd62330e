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


TORCHRUN = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


NUMBERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT")
WRONG = [{name: value} for name in NUMBERS for value in ("", "x", "-1", "9" * 30)]
LACKING = [{name: None} for name in TORCHRUN if name != "WORLD_SIZE"]


@pytest.mark.parametrize("change", [*WRONG, *LACKING, {"RANK": "2"}, {"MASTER_PORT": "70000"}, {"MASTER_ADDR": ""}])
def test_variables_of_torchrun_that_are_half_there(monkeypatch, change):
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *args: pytest.fail("joined"))
    for name, value in {**TORCHRUN, **change}.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"{next(iter(change))}.*torchrun"):
        distributed.join()


def test_one_process_joins_nobody(monkeypatch):
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *args: pytest.fail("joined"))
    for size in (None, "1"):
        monkeypatch.delenv("WORLD_SIZE", raising=False) if size is None else monkeypatch.setenv("WORLD_SIZE", size)
        distributed.join()
