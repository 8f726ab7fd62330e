"""One run in several processes, one for each GPU, started by `torchrun --nproc_per_node=N train.py ...`.

In training, each process takes its part of every batch, gradients are averaged, and all make the same update. Images
are encoded each by one process, into a store that all read. Everything else is done by every process alike, but only
the first one writes files other than features.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import distributed
from torch.utils.data import DataLoader

from imo.errors import InputError, reason

_BY_TORCHRUN = "start the command by torchrun, which sets them all, or unset WORLD_SIZE"


def join() -> None:
    """Connect to the other processes, if torchrun started any. Each takes the GPU of its local rank, if there are GPUs.

    Raises:
        InputError: torchrun's variables are not all there, or no numbers; or the others do not answer, as in all
            functions here that wait for them.
    """
    if "WORLD_SIZE" not in os.environ or _number("WORLD_SIZE") < 2 or distributed.is_initialized():
        return
    local, port = _number("LOCAL_RANK"), _number("MASTER_PORT")
    if _number("RANK") >= _number("WORLD_SIZE") or port > 65535 or not os.environ.get("MASTER_ADDR"):
        raise InputError(f"RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT: do not fit each other; {_BY_TORCHRUN}")
    backend = "gloo"
    if torch.cuda.is_available():
        if local >= torch.cuda.device_count():
            raise InputError(
                f"torchrun: --nproc_per_node: more processes than the {torch.cuda.device_count()} GPUs here"
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    _together(distributed.init_process_group, backend)


def _number(variable: str) -> int:
    """The number in an environment variable of torchrun's."""
    text = os.environ.get(variable, "")
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InputError(f"{variable}: expected a number in this environment variable, got '{text}'; {_BY_TORCHRUN}")
    return int(text)


def leave() -> None:
    """Disconnect from the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def world_size() -> int:
    """Number of processes; 1 before `join`."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process among all, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """The other processes run the block when the first one has finished it, and find the files that it made."""
    if rank() > 0:
        barrier()
    yield
    if rank() == 0:
        barrier()


def barrier() -> None:
    """Wait until all processes are here."""
    if distributed.is_initialized():
        _together(distributed.barrier)


def from_first(value: torch.Tensor) -> torch.Tensor:
    """Overwrite a tensor by the first process's, which has the same shape and dtype; returns it."""
    if world_size() > 1:
        _together(distributed.broadcast, value, 0)
    return value


def weighted_mean(values: torch.Tensor, weight: float) -> torch.Tensor:
    """Mean of several processes' vectors (n,), each weighted by its process's `weight`; the same result in all."""
    both = torch.cat([values * weight, values.new_tensor([weight])])
    _together(distributed.all_reduce, both)
    return both[:-1] / both[-1]


def total(counts: dict[str, int]) -> dict[str, int]:
    """Sum of all processes' counts by name; the names must be the same in all. Returns when all have called it."""
    if world_size() == 1:
        return counts
    sums = torch.tensor(list(counts.values()))
    _together(distributed.all_reduce, sums)
    return dict(zip(counts, sums.tolist()))


def same_random_state() -> None:
    """Give PyTorch's global generator the first process's state in all, so that they draw the same batches."""
    if world_size() > 1:
        torch.set_rng_state(from_first(torch.get_rng_state()))


def own_random_state() -> None:
    """Seed PyTorch's global generator differently in each process but the first, so that dropout masks differ."""
    if rank() > 0:
        torch.manual_seed(int(torch.randint(2**31, ())) + rank())


def shared_out(loader: Any) -> DataLoader[Any]:
    """A data loader of this process's part of each batch of `loader`. All processes must draw the same batches.

    Raises:
        InputError: the batch size is no multiple of the number of processes, or there are fewer images than processes.
    """
    count, size = world_size(), loader.batch_sampler.batch_size
    if size % count or len(loader.dataset) < count:
        raise InputError(
            f"DATALOADER.TRAIN_X.BATCH_SIZE: a batch of {size} from {len(loader.dataset)} images cannot be shared out "
            f"evenly to {count} processes; choose a multiple of their number"
        )
    return DataLoader(
        loader.dataset,
        batch_sampler=_Share(loader.batch_sampler),
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
    )


class _Share:
    """This process's part of a batch sampler's batches."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return (batch[rank() :: world_size()] for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _together(function: Callable[..., object], *arguments: object) -> None:
    """Call a function that waits for the other processes. A failed connection, the sign that one of them has ended, is
    an InputError."""
    try:
        function(*arguments)
    except (RuntimeError, ValueError) as error:
        why = reason(error)
        raise InputError(f"process {rank()}: lost the others of this run ({why}); see their messages") from error
