"""Saves a model's adapters to a file and loads them from one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imo.checks import check_kind
from imo.errors import InputError
from imo.files import atomic_path, file_sha256
from imo.model.adapter import authors
from imo.model.adapter.blocks import adapters_of, attach_adapters, blocks_of
from imo.model.adapter.stored import StoredAdapters


def save_adapters(model: nn.Module, path: str | Path, backbone_sha256: str = "") -> None:
    """Write a model's adapters as safetensors (float32), with their settings in the file's metadata.

    Args:
        model: CLIP with adapters.
        path: the file to write, of any ending but .pt and .pth; an interrupted write leaves it as it was.
        backbone_sha256: sha256 of the weights file of the CLIP that they were trained in; `load_adapters` refuses
            another CLIP.

    Raises:
        InputError: the model has no adapters, or they hold NaN; or the path's ending is that of another format.
    """
    check_kind("path", path, str, Path)
    check_kind("backbone_sha256", backbone_sha256, str)
    if Path(path).suffix in authors.SUFFIXES:  # `read` would take it for a checkpoint of the authors' code
        raise InputError(f"{path}: adapters are written as safetensors; choose the ending .safetensors")
    adapters = adapters_of(model)
    if not adapters:
        raise InputError("the model has no adapters to save")
    states = [adapter.state_dict() for adapter in adapters]
    try:
        stored = StoredAdapters(states, adapters[0].scale, adapters[0].dropout.p, backbone_sha256)
    except ValueError as error:
        raise InputError(f"{path}: adapters cannot be written ({error})") from error
    write(stored, path)


def write(stored: StoredAdapters, path: str | Path) -> None:
    """Write adapters as this project's kind of file; an interrupted write leaves the file as it was."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(stored.to_bytes())  # save_file of safetensors raises no OSError for a full disk


def read(path: str | Path) -> StoredAdapters:
    """Read the adapters in a file of `save_adapters`, or in a checkpoint of the IMO authors' code (.pt, .pth).

    Raises:
        InputError: the file is missing or damaged, or holds other things.
    """
    check_kind("path", path, str, Path)
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such adapter file (IMO.ADAPTER); train one with: bash scripts/imo_adapter.sh")
    return authors.read(path) if path.suffix in authors.SUFFIXES else StoredAdapters.read(path)


def adapters_sha256(path: str | Path) -> str:
    """Hexadecimal sha256 that identifies adapters: of their file or, for a checkpoint of the authors' code, which has
    its settings in a second file, of the file that `imo adapter convert` would make of both."""
    if Path(path).suffix in authors.SUFFIXES:
        return hashlib.sha256(read(path).to_bytes()).hexdigest()
    return file_sha256(path)


def load_adapters(model: nn.Module, path: str | Path, backbone_sha256: str = "") -> None:
    """Attach the adapters in a file to a model, in place, with no parameter to be trained.

    Args:
        model: CLIP without adapters.
        path: see `read`.
        backbone_sha256: sha256 of the model's weights file; empty not to compare it with the one in the file.

    Raises:
        InputError: the file is missing or damaged, or its adapters were trained in another CLIP.
    """
    check_kind("backbone_sha256", backbone_sha256, str)
    stored = read(path)
    check_fits(stored, model, path, backbone_sha256)
    attach_adapters(model, stored.bottleneck, stored.scale, stored.dropout)
    for adapter, state in zip(adapters_of(model), stored.states):
        adapter.load_state_dict(state)
    model.requires_grad_(False)


def check_fits(stored: StoredAdapters, model: nn.Module, path: str | Path, backbone_sha256: str) -> None:
    """Check that adapters were trained in a model: by number and width of blocks, by sha256 if both are known, and by
    the frozen weights in the adapters' file if it has any.

    Raises:
        InputError: they were trained in another model.
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
        # The tolerance allows for rounding to float16; weights of another model differ by much more.
        if ours.shape != theirs.shape or not torch.allclose(theirs.float(), ours, rtol=1e-2, atol=1e-2):
            raise InputError(
                f"{path}: adapters for another backbone (its {name} differs); set MODEL.BACKBONE.NAME to the one they "
                f"were trained in, or IMO.ADAPTER to a file trained for this one"
            )
