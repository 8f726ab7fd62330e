"""Training objectives of the adapters: what every objective offers, and the supervised one. `dino` has the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from imo.model.adapter import adapters_of
from imo.trainers.adapter.progress import Progress


class Objective(nn.Module):
    """A loss, and the modules that it trains. The frozen CLIP is an argument, so that checkpoints leave it out.

    Attributes:
        student: everything that the optimiser trains; `student["adapters"]` are the adapters in CLIP's visual tower.
        progress: what a resumed run needs beside the weights; checkpoints hold it with the objective.
    """

    student: nn.ModuleDict
    progress: Progress

    @property
    def used(self) -> nn.Module:
        """The modules that the run needs after training, inside `deployed()`."""
        raise NotImplementedError

    def loss(
        self, visual: nn.Module, views: list[torch.Tensor], labels: torch.Tensor, epoch: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean loss of a batch, and numbers to print beside it.

        Args:
            visual: CLIP's visual tower with the adapters.
            views: list of (B, 3, h, w), one tensor for each view.
            labels: (B,) int64.
            epoch: counted from 0.
        """
        raise NotImplementedError

    def before_step(self, epoch: int) -> None:
        """Called when the gradients are computed, before the optimiser's step."""

    def after_step(self, done: float) -> None:
        """Called after the optimiser's step; `done` is the finished share of the training, 0 to 1."""

    @contextlib.contextmanager
    def deployed(self) -> Iterator[None]:
        """Within the block, the visual tower has the adapters that the run saves (by default the trained ones)."""
        yield

    def scores(self, features: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """(n, C) scores, of which the highest is the prediction, for the images at `rows` (n,) of a set of N.

        Args:
            features: (N, d) corrected features, not normalised.
            labels: (N,) int64.
            rows: (n,) int64.
        """
        raise NotImplementedError


class Supervised(Objective):
    """Cross-entropy of a linear head on the un-normalised image embedding. The head is thrown away after the run."""

    def __init__(self, clip_model: Any, num_classes: int) -> None:
        super().__init__()
        adapters = nn.ModuleList(adapters_of(clip_model))
        head = nn.Linear(clip_model.visual.output_dim, num_classes)
        self.student = nn.ModuleDict({"adapters": adapters, "head": head})

    @property
    def used(self) -> nn.Module:
        """Adapters and head: the head is tested."""
        return self.student

    def loss(
        self, visual: nn.Module, views: list[torch.Tensor], labels: torch.Tensor, epoch: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Cross-entropy, and the accuracy in percent as "acc"."""
        output = self.student["head"](visual(views[0]).float())
        return F.cross_entropy(output, labels), {"acc": 100.0 * (output.argmax(1) == labels).float().mean()}

    def scores(self, features: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The head's outputs."""
        outputs: torch.Tensor = self.student["head"](features[rows])
        return outputs
