"""Warm-up epochs before another learning-rate schedule, as Dassl has them.

Upstream's own fail on PyTorch >= 2.7, and their state holds an object, which a weights-only load refuses.
"""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmupScheduler(LRScheduler):
    """Sets the rates of the first epochs itself, then hands over to its successor.

    The epoch right after the warm-up has the rates that the successor began with.
    """

    def __init__(self, optimizer: Optimizer, successor: LRScheduler, warmup_epoch: int, last_epoch: int = -1) -> None:
        self.successor = successor
        self.warmup_epoch = warmup_epoch
        super().__init__(optimizer, last_epoch)

    def warmup_lr(self) -> list[Any]:
        """The rates of the current epoch, inside the warm-up."""
        raise NotImplementedError

    def get_lr(self) -> list[Any]:
        """The rates of the current epoch."""
        return self.warmup_lr() if self.last_epoch < self.warmup_epoch else self.successor.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on by an epoch."""
        if self.last_epoch < self.warmup_epoch:
            super().step(epoch)
        else:
            self.successor.step(epoch)
            self._last_lr = self.successor.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The state, the successor's inside it as plain values, so that a weights-only load takes it."""
        return {**super().state_dict(), "successor": self.successor.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what state_dict gave."""
        state = dict(state_dict)
        self.successor.load_state_dict(state.pop("successor"))
        super().load_state_dict(state)


class ConstantWarmupScheduler(WarmupScheduler):
    """Warm-up at one small rate."""

    def __init__(
        self, optimizer: Optimizer, successor: LRScheduler, warmup_epoch: int, cons_lr: float, last_epoch: int = -1
    ) -> None:
        self.cons_lr = cons_lr
        super().__init__(optimizer, successor, warmup_epoch, last_epoch)

    def warmup_lr(self) -> list[Any]:
        """The small rate."""
        return [self.cons_lr for _ in self.base_lrs]


class LinearWarmupScheduler(WarmupScheduler):
    """Warm-up from a small rate, then in equal parts to the full one."""

    def __init__(
        self, optimizer: Optimizer, successor: LRScheduler, warmup_epoch: int, min_lr: float, last_epoch: int = -1
    ) -> None:
        self.min_lr = min_lr
        super().__init__(optimizer, successor, warmup_epoch, last_epoch)

    def warmup_lr(self) -> list[Any]:
        """The small rate in the first epoch (which would be at zero), then epoch / warmup_epoch of the full one."""
        if self.last_epoch == 0:
            return [self.min_lr for _ in self.base_lrs]
        return [lr * self.last_epoch / self.warmup_epoch for lr in self.base_lrs]


def warmed_up(
    optimizer: Optimizer, scheduler: LRScheduler, epochs: int, kind: str, rate: float, recount: bool = True
) -> LRScheduler:
    """A schedule after its warm-up; as it is where `epochs` is below 1.

    Args:
        optimizer: whose rates are set.
        scheduler: what comes after.
        epochs: length of the warm-up.
        kind: "constant", or "linear" from `rate` to the full one.
        rate: the small rate.
        recount: whether the schedule counts its epochs from the end of the warm-up.

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
