"""Checkpoints: written whole or not at all, read without running any code they hold."""

from __future__ import annotations

import os
import pickle
import shutil
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from imo.bounds import load_tensors
from imo.files import atomic_path

LATEST = "checkpoint"  # the file that names the newest checkpoint of a folder
BEST = "model-best.pth.tar"


def _plain(value: Any) -> Any:
    """The same value in built-in types: a weights-only load refuses NumPy numbers and, on older PyTorch, Counters."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def _without_module(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The weights under the names they have outside DataParallel, which puts "module." before them."""
    prefix = "module."
    return {key[len(prefix) :] if key.startswith(prefix) else key: value for key, value in state_dict.items()}


def save_checkpoint(
    state: Mapping[str, Any],
    save_dir: str,
    is_best: bool = False,
    remove_module_from_keys: bool = True,
    model_name: str = "",
) -> None:
    """Write a checkpoint, and its file name into the file `checkpoint` as the newest of the folder.

    Args:
        state: {"state_dict": weights, "epoch": number, ...}.
        save_dir: the folder.
        is_best: also copy it to model-best.pth.tar.
        remove_module_from_keys: save weights under the names they have outside DataParallel.
        model_name: file name; default: model.pth.tar-<epoch>.
    """
    weights = state["state_dict"]
    content = _plain({key: value for key, value in state.items() if key != "state_dict"})
    content["state_dict"] = _without_module(weights) if remove_module_from_keys else weights

    name = model_name or f"model.pth.tar-{state['epoch']}"
    fpath = os.path.join(save_dir, name)
    with atomic_path(fpath) as temporary:
        torch.save(content, temporary)
    print(f"Checkpoint saved to {fpath}")

    with atomic_path(os.path.join(save_dir, LATEST)) as temporary:
        temporary.write_text(f"{name}\n", encoding="utf-8")

    if is_best:
        best = os.path.join(save_dir, BEST)
        with atomic_path(best) as temporary:
            shutil.copy(fpath, temporary)
        print(f'Best checkpoint saved to "{best}"')


def load_checkpoint(fpath: str) -> dict[str, Any]:
    """Read a checkpoint. Only tensors and built-in types are accepted, so no code in the file is run.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: it is damaged or holds other types.
    """
    if fpath is None:
        raise ValueError("File path is None")
    if not os.path.exists(fpath):
        raise FileNotFoundError(f'File is not found at "{fpath}"')
    try:
        map_location = None if torch.cuda.is_available() else "cpu"
        checkpoint: dict[str, Any] = load_tensors(fpath, map_location)
    except pickle.UnpicklingError as error:
        raise RuntimeError(
            f'Unable to load checkpoint from "{fpath}": it is damaged, or it holds more than tensors and built-in'
            " types (as a warm-up scheduler saved by the original Dassl does), which is not loaded for safety"
        ) from error
    except Exception as error:
        raise RuntimeError(f'Unable to load checkpoint from "{fpath}": {error}') from error
    return checkpoint


def latest_checkpoint(fdir: str) -> str | None:
    """The path of the newest checkpoint in a folder, or None."""
    note = os.path.join(fdir, LATEST)
    if not os.path.isfile(note):
        return None
    with open(note, encoding="utf-8") as file:
        return os.path.join(fdir, file.readline().strip())


def resume_from_checkpoint(
    fdir: str,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None,
) -> int:
    """Restore the newest checkpoint in a folder and return how many epochs it was trained for."""
    fpath = latest_checkpoint(fdir)
    if fpath is None:
        raise FileNotFoundError(f'No file "{LATEST}" in "{fdir}"')
    print(f'Loading checkpoint from "{fpath}"')
    checkpoint = load_checkpoint(fpath)
    model.load_state_dict(checkpoint["state_dict"])
    print("Loaded model weights")
    if optimizer is not None and checkpoint.get("optimizer") is not None:
        optimizer.load_state_dict(checkpoint["optimizer"])
        print("Loaded optimizer")
    if scheduler is not None and checkpoint.get("scheduler") is not None:
        scheduler.load_state_dict(checkpoint["scheduler"])
        print("Loaded scheduler")
    epoch: int = checkpoint["epoch"]
    print(f"Previous epoch: {epoch}")
    return epoch


def load_pretrained_weights(model: nn.Module, weight_path: str) -> None:
    """Load the weights of a file whose names and shapes fit the model, and print which do not."""
    checkpoint = load_checkpoint(weight_path)
    weights = _without_module(checkpoint.get("state_dict", checkpoint))
    merged = model.state_dict()
    fits = {key: key in merged and merged[key].size() == value.size() for key, value in weights.items()}
    if not any(fits.values()):
        warnings.warn(f"Cannot load {weight_path} (check the key names manually)", stacklevel=2)
        return
    merged.update({key: value for key, value in weights.items() if fits[key]})
    model.load_state_dict(merged)
    print(f"Successfully loaded pretrained weights from {weight_path}")
    discarded = [key for key, fit in fits.items() if not fit]
    if discarded:
        print(f"Layers discarded due to unmatched keys or size: {discarded}")
