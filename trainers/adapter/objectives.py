"""What adapters are trained by: with labels here, without in `_dino`."""

import contextlib

import torch.nn.functional as F
from torch import nn

from imo.model.adapter import adapters_of


class Supervised(nn.Module):
    """Cross-entropy of a linear head on the un-normalised image embedding; the head is thrown away in the end.

    An objective has `student`, the part that the optimiser trains; `used`, the part of it that serves afterwards; and
    the methods below. The frozen CLIP is handed in by the caller, so that it is not part of an objective's state.
    """

    def __init__(self, clip_model, num_classes):
        super().__init__()
        adapters = nn.ModuleList(adapters_of(clip_model))
        head = nn.Linear(clip_model.visual.output_dim, num_classes)
        self.student = nn.ModuleDict({"adapters": adapters, "head": head})

    @property
    def used(self):
        return self.student

    def loss(self, visual, views, labels, epoch):
        """Mean loss of a batch, and numbers to print beside it.

        Args:
            visual: the visual tower that the adapters are in.
            views: list of (B, 3, h, w), one tensor a view.
            labels: (B,) int64.
            epoch: counted from 0.
        """
        output = self.student["head"](visual(views[0]).float())
        return F.cross_entropy(output, labels), {"acc": 100.0 * (output.argmax(1) == labels).float().mean()}

    def before_step(self, epoch):
        """Hook: gradients are there, the optimiser has not stepped."""

    def after_step(self, done):
        """Hook: the optimiser has stepped; `done` is the part of the training that lies behind, 0 to 1."""

    @contextlib.contextmanager
    def deployed(self):
        """Within the block, the tower has the adapters that are to be used, where they are not the trained ones."""
        yield

    def scores(self, features, labels, rows):
        """(n, C) scores of the images in `rows` of (N, d) corrected features; their argmax is tested."""
        return self.student["head"](features[rows])
