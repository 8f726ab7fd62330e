"""Trainers on labelled data, and on labelled and unlabelled data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from ..utils import AverageMeter, MetricMeter
from .base import TrainerBase
from .simple import SimpleTrainer

__all__ = ["SimpleTrainer", "TrainerBase", "TrainerX", "TrainerXU"]


class _BatchTrainer(SimpleTrainer):
    """Trains on batches; prints times and losses, and writes their curves."""

    num_batches = 0
    batch_idx = 0

    def run_batches(self, batches: Iterable[tuple[Any, ...]], num_batches: int) -> None:
        """Call forward_backward on each element of `batches`, a tuple of its arguments."""
        self.set_model_mode("train")
        self.num_batches = num_batches
        losses, batch_time, data_time = MetricMeter(), AverageMeter(), AverageMeter()
        frequency = self.cfg.TRAIN.PRINT_FREQ
        start = time.time()
        for self.batch_idx, batch in enumerate(batches):
            data_time.update(time.time() - start)
            summary = self.forward_backward(*batch)
            batch_time.update(time.time() - start)
            losses.update(summary)
            if (self.batch_idx + 1) % frequency == 0 or num_batches < frequency:
                self._print_progress(losses, batch_time, data_time)
            step = self.epoch * num_batches + self.batch_idx
            for name, meter in losses.meters.items():
                self.write_scalar(f"train/{name}", meter.avg, step)
            self.write_scalar("train/lr", self.get_current_lr(), step)
            start = time.time()

    def _print_progress(self, losses: MetricMeter, batch_time: AverageMeter, data_time: AverageMeter) -> None:
        """Print a line about the batch just trained on."""
        epoch, batch = self.epoch + 1, self.batch_idx + 1
        remaining = self.num_batches - batch + (self.max_epoch - epoch) * self.num_batches
        print(
            f"epoch [{epoch}/{self.max_epoch}]"
            f" batch [{batch}/{self.num_batches}]"
            f" time {batch_time.val:.3f} ({batch_time.avg:.3f})"
            f" data {data_time.val:.3f} ({data_time.avg:.3f})"
            f" {losses}"
            f" lr {self.get_current_lr():.4e}"
            f" eta {timedelta(seconds=int(batch_time.avg * remaining))}"
        )


class TrainerX(_BatchTrainer):
    """Trains on labelled data."""

    def run_epoch(self) -> None:
        """Train on each batch once."""
        self.run_batches(((batch,) for batch in self.train_loader_x), len(self.train_loader_x))

    def parse_batch_train(self, batch: Any) -> Any:
        """(image, label, domain) on the device."""
        return tuple(batch[key].to(self.device) for key in ("img", "label", "domain"))


class TrainerXU(_BatchTrainer):
    """Trains on pairs of batches, one labelled and one not."""

    def run_epoch(self) -> None:
        """Train on as many pairs as COUNT_ITER says, the shorter loader starting over."""
        loader_x, loader_u = self.train_loader_x, self.train_loader_u
        if loader_u is None:
            raise ValueError(f"{type(self).__name__} needs training data without labels")
        lengths = {
            "train_x": len(loader_x),
            "train_u": len(loader_u),
            "smaller_one": min(len(loader_x), len(loader_u)),
        }
        count = self.cfg.TRAIN.COUNT_ITER
        if count not in lengths:
            raise ValueError(f"COUNT_ITER must be one of {list(lengths)}, but got {count}")
        # Both iterators exist before the first draw: a seed gives the same batches only in the same order of use.
        pairs = zip(_endless(iter(loader_x), loader_x), _endless(iter(loader_u), loader_u))
        self.run_batches(islice(pairs, lengths[count]), lengths[count])

    def parse_batch_train(self, batch_x: Any, batch_u: Any) -> Any:
        """(labelled image, its label, unlabelled image) on the device."""
        return batch_x["img"].to(self.device), batch_x["label"].to(self.device), batch_u["img"].to(self.device)


def _endless(first: Iterator[Any], loader: Iterable[Any]) -> Iterator[Any]:
    """The batches that `first`, an iterator over the loader, has left; then the loader's again and again."""
    yield from first
    while True:
        yield from loader
