"""The loop over epochs."""

from __future__ import annotations

from typing import Any

from .models import ModelKeeper


class TrainerBase(ModelKeeper):
    """Calls the methods of a training in order; subclasses define them."""

    start_epoch = 0
    max_epoch = 0
    epoch = 0

    def __init__(self) -> None:
        super().__init__()
        self._writer: Any = None

    def train(self, start_epoch: int | None = None, max_epoch: int | None = None) -> None:
        """Train from start_epoch up to, not including, max_epoch; by default, the attributes of these names."""
        self.start_epoch = self.start_epoch if start_epoch is None else start_epoch
        self.max_epoch = self.max_epoch if max_epoch is None else max_epoch
        self.before_train()
        for epoch in range(self.start_epoch, self.max_epoch):
            self.epoch = epoch
            self.before_epoch()
            self.run_epoch()
            self.after_epoch()
        self.after_train()

    def before_train(self) -> None:
        """Called before the first epoch; may change start_epoch."""

    def after_train(self) -> None:
        """Called after the last epoch."""

    def before_epoch(self) -> None:
        """Called before each epoch."""

    def after_epoch(self) -> None:
        """Called after each epoch."""

    def run_epoch(self) -> None:
        """Train for an epoch."""
        raise NotImplementedError

    def forward_backward(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """Train on a batch and return the numbers to print, by name."""
        raise NotImplementedError

    def init_writer(self, log_dir: str) -> None:
        """Start writing curves for tensorboard into a folder, if tensorboard is installed."""
        if self._writer is not None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        print(f"Initialize tensorboard (log_dir={log_dir})")
        self._writer = SummaryWriter(log_dir=log_dir)

    def close_writer(self) -> None:
        """Stop writing curves."""
        if self._writer is not None:
            self._writer.close()

    def write_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        """Add a point to a curve, if curves are written."""
        if self._writer is not None:
            self._writer.add_scalar(tag, scalar_value, global_step)
