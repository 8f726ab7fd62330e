"""DINO, the self-supervised objective: student and teacher share one frozen CLIP and have their own adapters and
projection heads.

Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021,
https://arxiv.org/abs/2104.14294. Loss, head, crops and schedules are those of the package lightly. Used to correct CLIP
by Kravets & Namboodiri, BMVC 2024, https://arxiv.org/abs/2409.11338; their code also freezes the projection head, by a
name filter (our option HEAD "paper"), and normalises pixels with ImageNet's statistics instead of CLIP's.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from yacs.config import CfgNode

from imo.errors import InputError
from imo.model.adapter import adapters_of
from imo.rules import SHARE, number, one_of, several, whole
from imo.trainers.adapter.objectives import Objective

HEADS = ("trained", "paper")
_BOTTLENECK = 256  # width before the head's last layer, as in DINO
_CROP = several(number(0.001, 1), 2, 2)
RULES = {
    "OUTPUT": whole(2, 10**7), "HIDDEN": whole(1, 10**6), "HEAD": one_of(HEADS), "MOMENTUM": SHARE,
    "TEACHER_TEMPERATURE": number(0, above=True), "TEMPERATURE_EPOCHS": whole(0, 10**6), "LOCAL_VIEWS": whole(0, 1000),
    "LOCAL_SIZE": whole(1, 10_000), "GLOBAL_SCALE": _CROP, "LOCAL_SCALE": _CROP,
}  # fmt: skip
_BLUR = 0.1 / 224, 2 / 224  # smallest and largest sigma, as a share of the image's side


def extend_cfg(node: CfgNode) -> None:
    """Add the options of the self-supervised objective, as DINO, to the node TRAINER.IMOADAPTER. The defaults are the
    IMO authors' values, and those of DINO's ViT-B/16 where the authors name none."""
    node.DINO = CfgNode()
    node.DINO.OUTPUT = 65536  # outputs of the projection head
    node.DINO.HIDDEN = 2048  # width of the head's hidden layers
    node.DINO.HEAD = "trained"  # "paper" freezes the head
    node.DINO.MOMENTUM = 0.9998  # of the teacher at first; it grows to 1 as a cosine
    node.DINO.TEACHER_TEMPERATURE = 0.07  # at the end of a warm-up that begins at 0.04
    node.DINO.TEMPERATURE_EPOCHS = 3  # length of that warm-up
    node.DINO.LOCAL_VIEWS = 8  # local crops of an image, beside two global ones
    node.DINO.LOCAL_SIZE = 96  # pixels of a local crop's side, a multiple of the patch size
    node.DINO.GLOBAL_SCALE = (0.4, 1.0)  # area of a global crop, as a share of the image's
    node.DINO.LOCAL_SCALE = (0.05, 0.4)  # area of a local crop


def _lightly() -> Any:
    """The package lightly, an optional one; InputError where it is not installed."""
    try:
        import lightly.loss
        import lightly.models.modules
        import lightly.models.utils
        import lightly.transforms
        import lightly.utils.scheduler
    except ImportError as error:
        raise InputError(
            f"TRAINER.IMOADAPTER.OBJECTIVE: dino needs the package {error.name}; pip install lightly"
        ) from error
    return lightly


class Dino(Objective):
    """The student learns to give, for each crop of an image, the teacher's output for the global crops of that image.
    The teacher is a moving average of the student, and its adapters are the ones that are saved.

    Args:
        clip_model: CLIP with the student's adapters.

    Raises:
        InputError: lightly is not installed, or LOCAL_SIZE is no multiple of the model's patch size.
    """

    def __init__(self, clip_model: Any, cfg: CfgNode) -> None:
        super().__init__()
        self.lightly = _lightly()
        options = cfg.TRAINER.IMOADAPTER.DINO
        patch = clip_model.visual.conv1.kernel_size[0]
        if options.LOCAL_SIZE < 1 or options.LOCAL_SIZE % patch:
            raise InputError(
                f"TRAINER.IMOADAPTER.DINO.LOCAL_SIZE: expected a multiple of the patch size {patch}, got "
                f"{options.LOCAL_SIZE}"
            )
        sizes = clip_model.visual.output_dim, options.HIDDEN, _BOTTLENECK, options.OUTPUT
        make_head = partial(self.lightly.models.modules.DINOProjectionHead, *sizes, freeze_last_layer=1)
        adapters = nn.ModuleList(adapters_of(clip_model))
        self.student = nn.ModuleDict({"adapters": adapters, "head": make_head()})
        self.teacher = nn.ModuleDict({"adapters": copy.deepcopy(adapters), "head": make_head()})
        self.teacher["head"].load_state_dict(self.student["head"].state_dict())
        self.teacher.requires_grad_(False)
        if options.HEAD == "paper":
            self.student["head"].requires_grad_(False)
        self.criterion = self.lightly.loss.DINOLoss(
            options.OUTPUT,
            teacher_temp=options.TEACHER_TEMPERATURE,
            warmup_teacher_temp_epochs=options.TEMPERATURE_EPOCHS,
        )
        self._targets: list[torch.Tensor] = []
        self.criterion.update_center = self._targets.append  # once a step, however many pieces its batch comes in
        self.momentum = options.MOMENTUM

    @property
    def used(self) -> nn.Module:
        """The adapters in CLIP's visual tower; within `deployed()` they hold the teacher's weights."""
        return self.student["adapters"]

    def loss(
        self, visual: nn.Module, views: list[torch.Tensor], labels: torch.Tensor, epoch: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """DINO's loss, for views of which the first two are the global ones; labels have no effect.

        "used" is the effective number of head outputs in the teacher's mean distribution: 1 when it has collapsed.
        """
        global_views = torch.cat(views[:2])
        adapters: Any = self.teacher["adapters"]
        with torch.no_grad():
            state = {
                f"transformer.resblocks.{i}.adapter.{name}": parameter
                for i, adapter in enumerate(adapters)
                for name, parameter in adapter.named_parameters()
            }
            self.student["adapters"].eval()  # no dropout in the target
            targets = self.teacher["head"](embed(visual, global_views, state)).float()
            self.student["adapters"].train()
        outputs = [self.student["head"](embed(visual, global_views)).float()]
        if len(views) > 2:
            outputs.append(self.student["head"](embed(visual, torch.cat(views[2:]))).float())
        count = len(views[0])
        loss = self.criterion(targets.split(count), torch.cat(outputs).split(count), epoch=epoch)
        used = ((targets - self.criterion.center[0]) / self.criterion.teacher_temp).softmax(1).mean(0)
        return loss, {"used": torch.special.entr(used).sum().exp()}

    def before_step(self, epoch: int) -> None:
        """Keep the head's last layer as it is in the first epoch."""
        head: Any = self.student["head"]
        head.cancel_last_layer_gradients(epoch)

    def after_step(self, done: float) -> None:
        """Update the loss's center and move the teacher towards the student."""
        self.lightly.loss.DINOLoss.update_center(self.criterion, torch.cat(self._targets, dim=1))
        self._targets.clear()
        momentum = 1 - (1 - self.momentum) * (1 + np.cos(np.pi * done)) / 2
        self.lightly.models.utils.update_momentum(self.student, self.teacher, float(momentum))

    @contextlib.contextmanager
    def deployed(self) -> Iterator[None]:
        """Within the block, the visual tower has the teacher's adapters."""
        adapters = self.student["adapters"]
        own = copy.deepcopy(adapters.state_dict())
        adapters.load_state_dict(self.teacher["adapters"].state_dict())
        try:
            yield
        finally:
            adapters.load_state_dict(own)

    def scores(self, features: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """1 for the class of the most similar other image, 0 for the others, as there is no classifier to test."""
        features = F.normalize(features, dim=1)
        similarity = features[rows] @ features.T
        similarity[torch.arange(len(rows)), rows] = -torch.inf
        return F.one_hot(labels[similarity.argmax(1)], int(labels.max()) + 1).float()


def embed(visual: Any, images: torch.Tensor, state: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
    """Embed images of any size, with some of the visual tower's parameters replaced.

    Args:
        visual: CLIP's visual transformer.
        images: (B, 3, h, h), h a multiple of the patch size; position embeddings are resampled where h is not the
            tower's own.
        state: the replacing parameters, by their names in the tower.

    Returns:
        (B, d) float32.
    """
    positions = resampled(visual.positional_embedding, images.shape[-1] // visual.conv1.kernel_size[0])
    embedded: torch.Tensor = functional_call(visual, {**(state or {}), "positional_embedding": positions}, (images,))
    return embedded.float()


def resampled(positions: torch.Tensor, side: int) -> torch.Tensor:
    """Interpolate the position embeddings of a grid of g x g patches for one of side x side.

    (1 + g * g, width) -> (1 + side * side, width); the first row, of the class token, stays.
    """
    grid = round((len(positions) - 1) ** 0.5)
    if grid == side:
        return positions
    square = positions[1:].T.reshape(1, -1, grid, grid).float()
    square = F.interpolate(square, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], square.flatten(2)[0].T.to(positions.dtype)])


def crops(cfg: CfgNode) -> Any:
    """The transform that makes DINO's augmented crops of an image: a list of (3, h, h), two global ones first and then
    LOCAL_VIEWS local ones.

    Flipping and normalisation are as in INPUT.TRANSFORMS. DINO's blur is meant for images of 224 pixels; here it is in
    proportion to INPUT.SIZE.
    """
    options = cfg.TRAINER.IMOADAPTER.DINO
    size = cfg.INPUT.SIZE[0]
    normalize = {"mean": list(cfg.INPUT.PIXEL_MEAN), "std": list(cfg.INPUT.PIXEL_STD)}
    return _lightly().transforms.DINOTransform(
        global_crop_size=size,
        global_crop_scale=tuple(options.GLOBAL_SCALE),
        local_crop_size=options.LOCAL_SIZE,
        local_crop_scale=tuple(options.LOCAL_SCALE),
        n_local_views=options.LOCAL_VIEWS,
        hf_prob=0.5 if "random_flip" in cfg.INPUT.TRANSFORMS else 0.0,
        sigmas=tuple(part * size for part in _BLUR),
        normalize=normalize if "normalize" in cfg.INPUT.TRANSFORMS else None,
    )
