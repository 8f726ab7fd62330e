"""One run in several processes, one a GPU, started by `torchrun --nproc_per_node=N train.py ...`.

Each step's batch is shared out, and every process makes the same update; images are shared out to be encoded into one
store. All else every process does alike. Beside features, only the first process writes.
"""

import contextlib
import os

import torch
from torch import distributed
from torch.utils.data import DataLoader

from imo.errors import InputError


def join():
    """Meet the other processes, if torchrun started any; on GPUs each takes that of its local rank."""
    if int(os.environ.get("WORLD_SIZE", 1)) < 2 or "LOCAL_RANK" not in os.environ or distributed.is_initialized():
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    with _explained():
        distributed.init_process_group(backend)


def leave():
    """The end of what `join` began."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def world_size():
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank():
    return distributed.get_rank() if distributed.is_initialized() else 0


@contextlib.contextmanager
def first_alone():
    """The first process goes through the block before the others, which find what it made."""
    if rank() > 0:
        barrier()
    yield
    if rank() == 0:
        barrier()


def barrier():
    if distributed.is_initialized():
        with _explained():
            distributed.barrier()


def from_first(value):
    """The first process' tensor, in all."""
    if world_size() > 1:
        with _explained():
            distributed.broadcast(value, 0)
    return value


def weighted_mean(values, weight):
    """Mean of the processes' vectors, (n,), each with its process' weight; the same in all."""
    if world_size() == 1:
        return values
    both = torch.cat([values * weight, values.new_tensor([weight])])
    with _explained():
        distributed.all_reduce(both)
    return both[:-1] / both[-1]


def total(counts):
    """Sums of the processes' {name: count}, which have the same names; all have come here when it returns."""
    if world_size() == 1:
        return counts
    sums = torch.tensor(list(counts.values()))
    with _explained():
        distributed.all_reduce(sums)
    return dict(zip(counts, sums.tolist()))


def same_random_state():
    """All processes draw on as the first one does, so that they draw the same batches."""
    if world_size() > 1:
        torch.set_rng_state(from_first(torch.get_rng_state()))


def own_random_state():
    """From here on the other processes draw differently from the first and each other: dropout."""
    if rank() > 0:
        torch.manual_seed(int(torch.randint(2**31, ())) + rank())


def shared_out(loader):
    """A loader of this process' share of each batch; all processes must draw the same batches."""
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
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return (batch[rank() :: world_size()] for batch in self.batches)

    def __len__(self):
        return len(self.batches)


@contextlib.contextmanager
def _explained():
    """Of a process that ended, the others hear from the network alone."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"process {rank()}: lost the others of this run ({reason}); see their messages") from error
