"""DINO for adapters: a student and a teacher that share one frozen CLIP and differ in adapters and projection head.

Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, https://arxiv.org/abs/2104.14294;
loss, head, crops and schedules come from the package lightly. As a correction of CLIP: Kravets & Namboodiri, BMVC 2024,
https://arxiv.org/abs/2409.11338. The authors of the latter freeze the projection head too, by a name filter (HEAD
"paper"), and normalise pixels with ImageNet's statistics instead of CLIP's.
"""

import contextlib
import copy
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from yacs.config import CfgNode

from imo.errors import InputError
from imo.model.adapter import adapters_of

HEADS = ("trained", "paper")
_BOTTLENECK = 256  # width before the head's last layer, as in DINO
_BLUR = 0.1 / 224, 2 / 224  # sigma, as a part of the image's side


def extend_cfg(node):
    """Options of the self-supervised objective. Values beside the authors' own are those of DINO's ViT-B/16."""
    node.DINO = CfgNode()
    node.DINO.OUTPUT = 65536  # outputs of the projection head
    node.DINO.HIDDEN = 2048  # width of its hidden layers
    node.DINO.HEAD = "trained"  # "paper" freezes it
    node.DINO.MOMENTUM = 0.9998  # of the teacher at the start; grows to 1 as a cosine
    node.DINO.TEACHER_TEMPERATURE = 0.07  # after the warm-up from 0.04
    node.DINO.TEMPERATURE_EPOCHS = 3  # of that warm-up
    node.DINO.LOCAL_VIEWS = 8
    node.DINO.LOCAL_SIZE = 96  # pixels of a local crop's side, a multiple of the patch size
    node.DINO.GLOBAL_SCALE = (0.4, 1.0)  # part of the image's area
    node.DINO.LOCAL_SCALE = (0.05, 0.4)


def check(cfg):
    """Refuse options that do not fit."""
    options = cfg.TRAINER.IMOADAPTER.DINO
    if options.HEAD not in HEADS:
        raise InputError(f"TRAINER.IMOADAPTER.DINO.HEAD: expected one of {', '.join(HEADS)}, got '{options.HEAD}'")
    for name, value, fits in (
        ("OUTPUT", options.OUTPUT, options.OUTPUT > 1),
        ("MOMENTUM", options.MOMENTUM, 0 <= options.MOMENTUM <= 1),
        ("TEACHER_TEMPERATURE", options.TEACHER_TEMPERATURE, options.TEACHER_TEMPERATURE > 0),
        ("LOCAL_VIEWS", options.LOCAL_VIEWS, options.LOCAL_VIEWS >= 0),
    ):
        if not fits:
            raise InputError(
                f"TRAINER.IMOADAPTER.DINO.{name}: {value} is out of range; see configs/trainers/IMOAdapter"
            )


def _lightly():
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


class Dino(nn.Module):
    """An objective (see `_objectives`): the student's crops are to give the teacher's output for other crops."""

    def __init__(self, clip_model, cfg):
        super().__init__()
        self.lightly = _lightly()
        options = cfg.TRAINER.IMOADAPTER.DINO
        patch = clip_model.visual.conv1.kernel_size[0]
        if options.LOCAL_SIZE < 1 or options.LOCAL_SIZE % patch:
            raise InputError(
                f"TRAINER.IMOADAPTER.DINO.LOCAL_SIZE: expected a multiple of the patch size {patch}, got "
                f"{options.LOCAL_SIZE}"
            )
        make_head = partial(
            self.lightly.models.modules.DINOProjectionHead,
            clip_model.visual.output_dim,
            options.HIDDEN,
            _BOTTLENECK,
            options.OUTPUT,
            freeze_last_layer=1,
        )
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
        self._targets = []
        self.criterion.update_center = self._targets.append  # once a step, however many pieces its batch comes in
        self.momentum = options.MOMENTUM

    @property
    def used(self):
        return self.student["adapters"]

    def loss(self, visual, views, labels, epoch):
        """As in `Supervised`; the first two views are the global ones. Labels are not looked at."""
        global_views = torch.cat(views[:2])
        with torch.no_grad():
            state = {
                f"transformer.resblocks.{i}.adapter.{name}": parameter
                for i, adapter in enumerate(self.teacher["adapters"])
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
        return loss, {"used": torch.special.entr(used).sum().exp()}  # outputs in use: 1 where the teacher collapsed

    def before_step(self, epoch):
        self.student["head"].cancel_last_layer_gradients(epoch)

    def after_step(self, done):
        self.lightly.loss.DINOLoss.update_center(self.criterion, torch.cat(self._targets, dim=1))
        self._targets.clear()
        momentum = 1 - (1 - self.momentum) * (1 + np.cos(np.pi * done)) / 2
        self.lightly.models.utils.update_momentum(self.student, self.teacher, float(momentum))

    @contextlib.contextmanager
    def deployed(self):
        """The teacher's adapters are the ones to use, as in DINO."""
        adapters = self.student["adapters"]
        own = copy.deepcopy(adapters.state_dict())
        adapters.load_state_dict(self.teacher["adapters"].state_dict())
        try:
            yield
        finally:
            adapters.load_state_dict(own)

    def scores(self, features, labels, rows):
        """One for the class of the nearest other image, zero elsewhere: there is no classifier to test."""
        features = F.normalize(features, dim=1)
        similarity = features[rows] @ features.T
        similarity[torch.arange(len(rows)), rows] = -torch.inf
        return F.one_hot(labels[similarity.argmax(1)], int(labels.max()) + 1).float()


def embed(visual, images, state=None):
    """Image embeddings with the tower's parameters replaced by those in `state`, by name.

    Args:
        visual: CLIP's visual transformer.
        images: (B, 3, h, h); for another h than the tower's own, its position embeddings are resampled.
        state: parameters, by their names in the tower.

    Returns:
        (B, d) float32.
    """
    positions = resampled(visual.positional_embedding, images.shape[-1] // visual.conv1.kernel_size[0])
    return functional_call(visual, {**(state or {}), "positional_embedding": positions}, (images,)).float()


def resampled(positions, side):
    """Position embeddings, (1 + g * g, width) with the class token's first, for a grid of side x side patches."""
    grid = round((len(positions) - 1) ** 0.5)
    if grid == side:
        return positions
    square = positions[1:].T.reshape(1, -1, grid, grid).float()
    square = F.interpolate(square, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], square.flatten(2)[0].T.to(positions.dtype)])


class Crops:
    """PIL image -> list of two global and the local crops, (3, h, h), augmented as in DINO.

    Flips and pixel statistics are the config's. Blur is given in pixels of 224 and scaled to the image's size.
    """

    def __init__(self, cfg):
        options = cfg.TRAINER.IMOADAPTER.DINO
        size = cfg.INPUT.SIZE[0]
        normalize = {"mean": list(cfg.INPUT.PIXEL_MEAN), "std": list(cfg.INPUT.PIXEL_STD)}
        self.transform = _lightly().transforms.DINOTransform(
            global_crop_size=size,
            global_crop_scale=tuple(options.GLOBAL_SCALE),
            local_crop_size=options.LOCAL_SIZE,
            local_crop_scale=tuple(options.LOCAL_SCALE),
            n_local_views=options.LOCAL_VIEWS,
            hf_prob=0.5 if "random_flip" in cfg.INPUT.TRANSFORMS else 0.0,
            sigmas=tuple(part * size for part in _BLUR),
            normalize=normalize if "normalize" in cfg.INPUT.TRANSFORMS else None,
        )

    def __call__(self, image):
        return self.transform(image)
