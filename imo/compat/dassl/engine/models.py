"""The models of a trainer with their optimisers, schedules and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..utils import load_checkpoint, resume_from_checkpoint, save_checkpoint
from ..utils.checkpoint import BEST, latest_checkpoint

T = TypeVar("T", Optimizer, LRScheduler)
Names = str | Sequence[str] | None  # a model's name, several, or None for all models


class ModelKeeper:
    """Keeps models by name, each with its optimiser and schedule, if it has them, and its own folder of checkpoints."""

    def __init__(self) -> None:
        self._models: dict[str, nn.Module] = {}
        self._optims: dict[str, Optimizer | None] = {}
        self._scheds: dict[str, LRScheduler | None] = {}

    def register_model(
        self, name: str, model: nn.Module, optim: Optimizer | None = None, sched: LRScheduler | None = None
    ) -> None:
        """Add a model; training steps and checkpoints include it from then on."""
        if name in self._models:
            raise ValueError(f"a model named {name!r} is already registered")
        self._models[name] = model
        self._optims[name] = optim
        self._scheds[name] = sched

    def get_model_names(self, names: Names = None) -> list[str]:
        """The given names as a list, all names for None; KeyError for an unknown one."""
        if names is None:
            return list(self._models)
        chosen = [names] if isinstance(names, str) else list(names)
        for name in chosen:
            if name not in self._models:
                raise KeyError(f"no model named {name!r} among {list(self._models)}")
        return chosen

    def _chosen(self, kept: dict[str, T | None], names: Names) -> list[T]:
        """What is kept for the given models, without those that have none."""
        return [found for name in self.get_model_names(names) if (found := kept[name]) is not None]

    def save_model(
        self, epoch: int, directory: str, is_best: bool = False, val_result: float | None = None, model_name: str = ""
    ) -> None:
        """Write a checkpoint of each model into <directory>/<model's name>.

        Args:
            epoch: the epoch just trained, counted from 0.
            directory: where to write.
            is_best: also write it as the best checkpoint.
            val_result: validation result, kept in the checkpoint.
            model_name: file name; default: model.pth.tar-<epoch, counted from 1>.
        """
        for name in self.get_model_names():
            optim, sched = self._optims[name], self._scheds[name]
            state = {
                "state_dict": self._models[name].state_dict(),
                "epoch": epoch + 1,
                "optimizer": optim.state_dict() if optim is not None else None,
                "scheduler": sched.state_dict() if sched is not None else None,
                "val_result": val_result,
            }
            save_checkpoint(state, os.path.join(directory, name), is_best=is_best, model_name=model_name)

    def resume_model_if_exist(self, directory: str) -> int:
        """Restore all models if a folder has checkpoints of all, and return the epoch to go on with, else 0."""
        folders = {name: os.path.join(directory, name) for name in self.get_model_names()}
        if not folders or any(latest_checkpoint(folder) is None for folder in folders.values()):
            print("No checkpoint found, train from scratch")
            return 0
        print(f"Found checkpoint at {directory} (will resume training)")
        start_epoch = 0
        for name, folder in folders.items():
            start_epoch = resume_from_checkpoint(folder, self._models[name], self._optims[name], self._scheds[name])
        return start_epoch

    def load_model(self, directory: str, epoch: int | None = None) -> None:
        """Load the weights of an epoch (counted from 1), or by default the best ones, for evaluation."""
        if not directory:
            print("Note that load_model() is skipped as no pretrained model is given")
            return
        file = BEST if epoch is None else f"model.pth.tar-{epoch}"
        for name in self.get_model_names():
            path = os.path.join(directory, name, file)
            if not os.path.exists(path):
                raise FileNotFoundError(f"No model at {path}")
            checkpoint = load_checkpoint(path)
            result = checkpoint.get("val_result")
            shown = "None" if result is None else f"{result:.1f}"
            print(f"Load {path} to {name} (epoch={checkpoint['epoch']}, val_result={shown})")
            self._models[name].load_state_dict(checkpoint["state_dict"])

    def set_model_mode(self, mode: str = "train", names: Names = None) -> None:
        """Put models into training mode ("train") or evaluation mode ("test" or "eval")."""
        if mode not in ("train", "test", "eval"):
            raise KeyError(f"mode must be train, test or eval, but got {mode!r}")
        for name in self.get_model_names(names):
            self._models[name].train(mode == "train")

    def update_lr(self, names: Names = None) -> None:
        """Step the learning-rate schedules; called once an epoch."""
        for sched in self._chosen(self._scheds, names):
            sched.step()

    def detect_anomaly(self, loss: torch.Tensor) -> None:
        """Raise FloatingPointError for a loss that is not finite."""
        if not torch.isfinite(loss).all():
            raise FloatingPointError("Loss is infinite or NaN!")

    def model_zero_grad(self, names: Names = None) -> None:
        """Clear gradients."""
        for optim in self._chosen(self._optims, names):
            optim.zero_grad()

    def model_backward(self, loss: torch.Tensor) -> None:
        """Compute the gradients of a finite loss."""
        self.detect_anomaly(loss)
        loss.backward()

    def model_update(self, names: Names = None) -> None:
        """Step the optimisers."""
        for optim in self._chosen(self._optims, names):
            optim.step()

    def model_backward_and_update(self, loss: torch.Tensor, names: Names = None) -> None:
        """Clear gradients, compute them anew and step."""
        self.model_zero_grad(names)
        self.model_backward(loss)
        self.model_update(names)
