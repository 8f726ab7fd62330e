"""Adapters from a model to a file, and back."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imo.errors import InputError
from imo.files import atomic_path, file_sha256
from imo.model.adapter import authors
from imo.model.adapter.blocks import adapters_of, attach_adapters, blocks_of
from imo.model.adapter.stored import StoredAdapters


def save_adapters(model: nn.Module, path: str | Path, backbone_sha256: str = "") -> None:
    """Write the adapters as safetensors (float32), with their settings in the file's metadata, whole or not at all.

    Args:
        model: CLIP with adapters.
        path: the file to write.
        backbone_sha256: the backbone they were trained in, checked when they are loaded.
    """
    adapters = adapters_of(model)
    if not adapters:
        raise InputError("the model has no adapters to save")
    states = [adapter.state_dict() for adapter in adapters]
    write(StoredAdapters(states, adapters[0].scale, adapters[0].dropout.p, backbone_sha256), path)


def write(stored: StoredAdapters, path: str | Path) -> None:
    """Write a file of adapters, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(stored.to_bytes())  # not safetensors' save_file, whose errors are no OSError


def read(path: str | Path) -> StoredAdapters:
    """The adapters in a file, `save_adapters`' or a checkpoint of the IMO authors' code (.pt, .pth).

    Raises:
        InputError: missing, damaged or refused.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such adapter file (IMO.ADAPTER); train one with: bash scripts/imo_adapter.sh")
    return authors.read(path) if path.suffix in authors.SUFFIXES else StoredAdapters.read(path)


def adapters_sha256(path: str | Path) -> str:
    """What adapters are told apart by: the sha256 of the file, or for an authors' checkpoint, whose settings are in
    another file, of what `imo adapter convert` makes of both."""
    if Path(path).suffix in authors.SUFFIXES:
        return hashlib.sha256(read(path).to_bytes()).hexdigest()
    return file_sha256(path)


def load_adapters(model: nn.Module, path: str | Path, backbone_sha256: str = "") -> None:
    """Attach the adapters stored in `path`, in place.

    Args:
        model: CLIP without adapters.
        path: see `read`.
        backbone_sha256: the backbone's; where given, adapters trained in another one are refused.

    Raises:
        InputError: missing or damaged file, or adapters for another backbone.
    """
    stored = read(path)
    check_fits(stored, model, path, backbone_sha256)
    attach_adapters(model, stored.bottleneck, stored.scale, stored.dropout)
    for adapter, state in zip(adapters_of(model), stored.states):
        adapter.load_state_dict(state)
    model.requires_grad_(False)


def check_fits(stored: StoredAdapters, model: nn.Module, path: str | Path, backbone_sha256: str) -> None:
    """Refuse adapters of another backbone, by shape, by its sha256, and by its frozen weights, as far as known.

    Raises:
        InputError: they are another's.
    """
    blocks = blocks_of(model)
    count, width, trained_in = len(stored.states), stored.width, stored.backbone_sha256
    shape = (len(blocks), blocks[0].ln_1.weight.shape[0])
    if shape != (count, width) or (trained_in and backbone_sha256 and trained_in != backbone_sha256):
        raise InputError(
            f"{path}: adapters for another backbone ({count} blocks of width {width}, backbone sha256 "
            f"{trained_in[:12] or 'unknown'}; this one: {shape[0]} blocks of width {shape[1]}, sha256 "
            f"{backbone_sha256[:12] or 'unknown'}); set IMO.ADAPTER to a file trained for this backbone"
        )
    visual: Any = model.visual
    weights = visual.state_dict()
    for name, theirs in stored.frozen.items():
        ours = weights.get(name, torch.empty(0)).float().cpu()
        # Loose enough for weights in half precision; those of another model are far off.
        if ours.shape != theirs.shape or not torch.allclose(theirs.float(), ours, rtol=1e-2, atol=1e-2):
            raise InputError(
                f"{path}: adapters for another backbone (its {name} differs); set MODEL.BACKBONE.NAME to the one they "
                f"were trained in, or IMO.ADAPTER to a file trained for this one"
            )
