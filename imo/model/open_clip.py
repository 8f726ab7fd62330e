"""Loads models of the optional package open_clip, and gives them the attributes that this package uses of CLIP's class.

A name is `open_clip:<architecture>/<weights>`. The weights are a tag that open_clip has for the architecture, as in
`open_clip:ViT-B-16/laion2b_s34b_b88k`, which open_clip downloads to its cache; or the path of a file, as in
`open_clip:ViT-B-16//data/vit.pt`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from os.path import expanduser
from pathlib import Path
from typing import Any

import torch

from imo.errors import InputError, reading, reason

PREFIX = "open_clip:"
_PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def _parts(name: str) -> tuple[Any, str, str]:
    """Split a name: the module open_clip, the architecture, and the weights' tag or path.

    Raises:
        InputError: open_clip is not installed, or does not have the architecture.
    """
    try:
        open_clip = importlib.import_module("open_clip")
    except ModuleNotFoundError as error:
        raise InputError(
            f"MODEL.BACKBONE.NAME: '{name}' needs the package {error.name}; pip install open_clip_torch"
        ) from error
    architecture, _, weights = name[len(PREFIX) :].partition("/")
    if architecture not in open_clip.list_models():
        raise InputError(
            f"MODEL.BACKBONE.NAME: open_clip has no architecture '{architecture}'; "
            f"open_clip.list_models() names them, e.g. open_clip:ViT-B-16/laion2b_s34b_b88k"
        )
    return open_clip, architecture, weights


def locate(name: str) -> Path:
    """Find the weights file of a name. A tag's is downloaded unless it is in open_clip's cache.

    Raises:
        InputError: open_clip is not installed, unknown architecture, neither tag nor file, or failed download.
    """
    open_clip, architecture, weights = _parts(name)
    tag = open_clip.get_pretrained_cfg(architecture, weights)
    if tag:
        try:
            return Path(open_clip.download_pretrained(tag))
        except Exception as error:  # of urllib or huggingface_hub
            raise InputError(
                f"backbone '{name}' could not be downloaded ({reason(error)}); check the network, or give the path of "
                f"a weights file: open_clip:{architecture}/PATH"
            ) from error
    path = Path(expanduser(weights))
    if not path.is_file():
        known = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise InputError(f"{path}: no weights file and no tag of open_clip's {architecture} (tags: {known})")
    return path


def load(name: str, device: torch.device, dtype: torch.dtype) -> tuple[Any, Callable[[Any], torch.Tensor]]:
    """Load a model and its preprocessing, as `imo.model.backbone.load_clip` does; `model.tokenize` is its tokenizer.

    Raises:
        InputError: see `locate`; also a file of other weights, an unsupported dtype, or an image encoder that is
            neither a ViT nor a ResNet of CLIP's kind.
    """
    path = locate(name)
    open_clip, architecture, weights = _parts(name)
    tag = open_clip.get_pretrained_cfg(architecture, weights)
    if dtype not in _PRECISIONS:
        raise InputError(f"backbone '{name}': no precision {dtype}; choose float32, float16 or bfloat16")
    with reading(f"{path}: not the weights of open_clip's {architecture}", "give others"):
        model, _, preprocess = open_clip.create_model_and_transforms(
            architecture,
            pretrained=weights if tag else str(path),
            precision=_PRECISIONS[dtype],
            device=device,
            force_quick_gelu=bool(tag and tag.get("quick_gelu")),  # by itself open_clip only warns
            weights_only=True,
        )
    visual = model.visual
    if not isinstance(model, (open_clip.CLIP, open_clip.CustomTextCLIP)) or not hasattr(visual, "conv1"):
        raise InputError(
            f"backbone '{name}': a {type(model).__name__} with a {type(visual).__name__} is not supported; choose one "
            f"with an image tower of CLIP's own kinds, ViT or ResNet"
        )
    side = visual.image_size
    visual.input_resolution = side[0] if isinstance(side, tuple) else side
    model.tokenize = open_clip.get_tokenizer(architecture)
    return model, preprocess
