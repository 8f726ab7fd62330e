"""What a resumed training needs beside weights and optimiser, so that it ends as an uninterrupted one does."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn


class Progress(nn.Module):
    """How far a training has come. As a module it is saved in Dassl's checkpoint with the weights, with the states of
    the random generators.

    Args:
        scaler: the run's gradient scaler.
        seconds: the run's seconds by stage, of which "train" is kept.

    Attributes:
        curve: [step, mean loss since the entry before] pairs.
        validation: for each epoch its "epoch", "area" and "separation"; empty where no classes are held out.
        best: state of the adapters in the epoch with the smallest area; empty without patience.
    """

    def __init__(self, scaler: torch.amp.GradScaler, seconds: dict[str, float]) -> None:
        super().__init__()
        self.scaler, self.seconds = scaler, seconds
        self.curve: list[tuple[int, float]] = []
        self.validation: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}
        self._pending: list[float] = []
        self._loaded: Any = None

    def get_extra_state(self) -> dict[str, Any]:
        """What checkpoints hold, as tensors and built-in types."""
        return {
            "curve": self.curve,
            "validation": self.validation,
            "best": self.best,
            "scaler": self.scaler.state_dict(),
            "seconds": self.seconds.get("train", 0.0),
            "random": random_states(),
        }

    def set_extra_state(self, state: Any) -> None:
        """Take the measurements of a checkpoint; `resume` takes the rest."""
        self.curve = msgspec.convert(state["curve"], list[tuple[int, float]])
        self.validation = msgspec.convert(state["validation"], list[dict[str, float]])
        self.best = dict(state["best"])
        self._loaded = state

    def resume(self) -> None:
        """Go on from the checkpoint that was loaded: restore the random generators, the scaler and the seconds."""
        set_random_states(self._loaded["random"])
        self.scaler.load_state_dict(self._loaded["scaler"])
        self.seconds["train"] = float(self._loaded["seconds"])

    def record(self, step: int, loss: float, last: bool) -> None:
        """Remember the loss of a step (counted from 1); with `last`, add the mean of those remembered to the curve."""
        self._pending.append(loss)
        if last:
            self.curve.append((step, sum(self._pending) / len(self._pending)))
            self._pending = []

    def validated(self, epoch: int, area: float, separation: float, adapters: Mapping[str, torch.Tensor]) -> None:
        """Add the overlap that was measured after an epoch (counted from 1), and keep the adapters if it is the least
        so far."""
        if area < min((found["area"] for found in self.validation), default=2.0):
            self.best = dict(adapters)
        self.validation.append({"epoch": epoch, "area": area, "separation": separation})

    def out_of_patience(self, patience: int) -> bool:
        """Whether the last `patience` epochs (0 for any number) brought no smaller area than the best before them."""
        areas = [found["area"] for found in self.validation]
        return bool(patience and areas) and len(areas) - 1 - areas.index(min(areas)) >= patience


def random_states() -> dict[str, Any]:
    """The states of all global random generators, as tensors and built-in types."""
    state: Any = np.random.get_state()
    name, keys, position, has_gauss, gauss = state
    return {
        "random": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Set the global random generators to what `random_states` gave."""
    random.setstate(states["random"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())
