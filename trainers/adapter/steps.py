"""One optimiser step of adapter training: precision, pieces of a batch, several processes, and numbers that fail."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, vector_to_parameters
from yacs.config import CfgNode

from imo.errors import InputError
from imo.trainers.adapter.objectives import Objective
from imo.trainers.base import distributed

PRECISIONS = {"fp32": None, "amp": torch.float16, "bf16": torch.bfloat16}
SCHEDULES = ("constant", "cosine")


def learning_rate(cfg: CfgNode, step: int, steps: int, steps_an_epoch: int) -> float:
    """Learning rate of a step, counted from 0: a linear warm-up, then constant or a cosine that ends at zero after
    `steps` steps."""
    options, full = cfg.TRAINER.IMOADAPTER, float(cfg.OPTIM.LR)
    warm: int = options.WARMUP_EPOCHS * steps_an_epoch
    if step < warm:
        return full * (step + 1) / warm
    if options.SCHEDULE == "constant":
        return full
    return full * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def gradient_scaler(cfg: CfgNode, device: torch.device) -> torch.amp.GradScaler:
    """Loss scale of float16 training; for the other precisions one that does nothing."""
    return torch.amp.GradScaler(device.type, enabled=cfg.TRAINER.IMOADAPTER.PREC == "amp")


class Stepper:
    """Makes the steps of one training.

    A step's batch is DATALOADER.TRAIN_X.BATCH_SIZE images, over all processes and pieces (ACCUMULATE) together: how it
    is divided changes memory and speed, but neither the gradient nor the schedule. Only dropout masks differ.

    Args:
        visual: CLIP's visual tower with the adapters.
        optim: over the parameters of `objective.student`.
    """

    def __init__(self, cfg: CfgNode, objective: Objective, visual: nn.Module, optim: torch.optim.Optimizer) -> None:
        self.cfg, self.objective, self.visual, self.optim = cfg, objective, visual, optim
        self.scaler = objective.progress.scaler
        self.parameters = [p for p in objective.student.parameters() if p.requires_grad]
        self.dtype = PRECISIONS[cfg.TRAINER.IMOADAPTER.PREC]
        self._where = ""

    def __call__(self, batch: dict[str, Any], epoch: int, number: int, batches: int) -> dict[str, float]:
        """Make a step, and record its loss in the objective's progress.

        Args:
            batch: this process's part; "img" is (B, 3, h, w), or a list with one such tensor for each view, and
                "label" (B,) int64.
            epoch, number: place of the batch in the training, both counted from 0.
            batches: number of batches in an epoch.

        Returns:
            The mean "loss" and the objective's other numbers, over the whole batch.

        Raises:
            InputError: a loss, gradient or weight is infinite or NaN.
        """
        step, steps = epoch * batches + number, self.cfg.OPTIM.MAX_EPOCH * batches
        self._where = f"epoch {epoch + 1}, batch {number + 1}"
        device = self.parameters[0].device
        images = batch["img"] if isinstance(batch["img"], (list, tuple)) else [batch["img"]]
        views, labels = [view.to(device) for view in images], batch["label"].to(device)
        for group in self.optim.param_groups:
            group["lr"] = learning_rate(self.cfg, step, steps, batches)
        self.optim.zero_grad()
        numbers = self._over_processes(self._backward(views, labels, epoch), len(labels))
        self.objective.before_step(epoch)
        self.scaler.unscale_(self.optim)
        norm = clip_grad_norm_(self.parameters, self.cfg.TRAINER.IMOADAPTER.CLIP_GRADIENT or math.inf)
        if not self.scaler.is_enabled() or self.scaler.get_scale() < 1:  # the scaler skips such steps, for a while
            self._check("gradient", norm)
        self.scaler.step(self.optim)
        self.scaler.update()
        self._check("weight", torch.stack([parameter.detach().abs().max() for parameter in self.parameters]))
        self.objective.after_step((step + 1) / steps)
        summary = {name: float(value) for name, value in numbers.items()}
        last = (step + 1) % self.cfg.TRAIN.PRINT_FREQ == 0 or number + 1 == batches
        self.objective.progress.record(step + 1, summary["loss"], last)
        return summary

    def _backward(self, views: list[torch.Tensor], labels: torch.Tensor, epoch: int) -> dict[str, torch.Tensor]:
        """Add up the gradients of this process's pieces; returns loss and numbers, means over its images."""
        numbers: dict[str, torch.Tensor] = {}
        device = labels.device
        for rows in torch.arange(len(labels), device=device).chunk(self.cfg.TRAINER.IMOADAPTER.ACCUMULATE):
            with torch.autocast(device.type, self.dtype or torch.bfloat16, enabled=self.dtype is not None):
                loss, others = self.objective.loss(self.visual, [view[rows] for view in views], labels[rows], epoch)
            share = len(rows) / len(labels)
            self._check("loss", loss)
            self.scaler.scale(loss * share).backward()
            for name, value in {"loss": loss, **others}.items():
                numbers[name] = numbers.get(name, 0.0) + share * value.detach()
        return numbers

    def _over_processes(self, numbers: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
        """Average gradients and numbers over processes, weighted by `count`, this process's images."""
        if distributed.world_size() == 1:
            return numbers
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        mine = torch.cat([parameters_to_vector(gradients), torch.stack(list(numbers.values()))])
        mean = distributed.weighted_mean(mine, count)
        vector_to_parameters(mean[: -len(numbers)], gradients)
        return dict(zip(numbers, mean[-len(numbers) :]))

    def _check(self, what: str, value: torch.Tensor) -> None:
        if not torch.isfinite(value).all():
            raise InputError(
                f"OPTIM.LR: the {what} is infinite or NaN in {self._where}; lower the learning rate, or check the "
                f"weights of backbone '{self.cfg.MODEL.BACKBONE.NAME}'"
            )
