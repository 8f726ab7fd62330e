"""Warm-up epochs before another learning-rate schedule, with the rates and class names of Dassl's.

Upstream's own classes fail on PyTorch >= 2.7, and their state holds an object, which a weights-only load refuses.
PyTorch's SequentialLR over ConstantLR or LinearLR gives other rates: it starts the second schedule at epoch 0, where
WARMUP_RECOUNT False counts on, and it scales each parameter group's rate, where Dassl sets one rate for all groups.
"""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class ConstantWarmupScheduler(LRScheduler):
    """Sets one small rate for the first epochs, then hands over to another schedule.

    The epoch right after the warm-up has the rates that `successor` was built with.

    Args:
        optimizer: whose rates are set.
        successor: the schedule after the warm-up.
        warmup_epoch: length of the warm-up, in epochs.
        cons_lr: the small rate, the same for all parameter groups.
        last_epoch: as in PyTorch's schedules.
    """

    def __init__(
        self, optimizer: Optimizer, successor: LRScheduler, warmup_epoch: int, cons_lr: float, last_epoch: int = -1
    ) -> None:
        self.successor, self.warmup_epoch, self.small_lr = successor, warmup_epoch, cons_lr
        super().__init__(optimizer, last_epoch)

    def warmup_lr(self) -> list[Any]:
        """The rate of each parameter group in the current epoch, during the warm-up."""
        return [self.small_lr for _ in self.base_lrs]

    def get_lr(self) -> list[Any]:
        """The rate of each parameter group in the current epoch."""
        return self.warmup_lr() if self.last_epoch < self.warmup_epoch else self.successor.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch."""
        if self.last_epoch < self.warmup_epoch:
            super().step(epoch)
        else:
            self.successor.step(epoch)
            self._last_lr = self.successor.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The state in built-in types, the successor's state inside it; a weights-only load takes it."""
        return {**super().state_dict(), "successor": self.successor.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        state = dict(state_dict)
        self.successor.load_state_dict(state.pop("successor"))
        super().load_state_dict(state)


class LinearWarmupScheduler(ConstantWarmupScheduler):
    """Starts at one small rate, then raises each group's rate in equal steps to its full one.

    In epoch e, counted from 0, the rate is e / warmup_epoch of the full one; in epoch 0, where that is zero, `min_lr`.
    """

    def __init__(
        self, optimizer: Optimizer, successor: LRScheduler, warmup_epoch: int, min_lr: float, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, successor, warmup_epoch, min_lr, last_epoch)

    def warmup_lr(self) -> list[Any]:
        """The rate of each parameter group in the current epoch, during the warm-up."""
        if self.last_epoch == 0:
            return super().warmup_lr()
        return [lr * self.last_epoch / self.warmup_epoch for lr in self.base_lrs]


def warmed_up(
    optimizer: Optimizer, scheduler: LRScheduler, epochs: int, kind: str, rate: float, recount: bool = True
) -> LRScheduler:
    """A schedule with a warm-up before it.

    Args:
        optimizer: whose rates are set.
        scheduler: the schedule after the warm-up.
        epochs: length of the warm-up; below 1, `scheduler` is returned as it is.
        kind: "constant" or "linear".
        rate: the small rate that the warm-up starts at.
        recount: whether `scheduler` counts its epochs from the end of the warm-up (else from its beginning).

    Raises:
        ValueError: another kind.
    """
    if epochs < 1:
        return scheduler
    kinds = {"constant": ConstantWarmupScheduler, "linear": LinearWarmupScheduler}
    if kind not in kinds:
        raise ValueError(f"WARMUP_TYPE must be constant or linear, but got {kind}")
    if not recount:
        scheduler.last_epoch = epochs
    return kinds[kind](optimizer, scheduler, epochs, rate)
