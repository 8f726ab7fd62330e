"""Reads adapters from checkpoints of the IMO authors' code, without running any code that the files hold.

A supervised checkpoint is a state dict: names begin with `image_encoder.` for the visual tower with its adapters, and
with `predictor.` for the head. A self-supervised checkpoint is DINO's dictionary, in which `teacher` is a state dict
with the prefixes `backbone.` and `head.`. In both, an adapter's weights are named
`transformer.resblocks.<i>.adaptmlp.{down_proj,up_proj}.{weight,bias}`.

The adapters' settings are in a file `configs.txt` beside the checkpoint, which holds the printed form of a Python dict.
The authors' code evaluates it; this module parses it.
"""

from __future__ import annotations

import ast
import contextlib
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from imo.bounds import load_tensors
from imo.errors import InputError, reading
from imo.model.adapter.stored import StoredAdapters

SUFFIXES = (".pt", ".pth")
_DROPOUT = 0.1  # a constant in the authors' code, not in the settings
_TOWER = re.compile(r"(?:module\.)?(?:image_encoder|backbone)\.(.+)")
_ADAPTER = re.compile(r"transformer\.resblocks\.(\d{1,4})\.adaptmlp\.(down|up)_proj\.(weight|bias)")


class _Inert:
    """Replaces an object that DINO's checkpoints hold beside tensors. Takes any arguments and keeps none."""

    def __init__(self, *args: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class _InertMapping:
    """Replaces a subclass of dict. Makes an OrderedDict, as PyTorch's weights-only load fills no other dictionaries."""

    def __new__(cls, *args: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        return OrderedDict()


# Objects in DINO's checkpoints: the command's arguments, and NumPy's numbers in the optimiser's state.
_BESIDE_TENSORS: list[Any] = [
    (_InertMapping, "yacs.config.CfgNode"),
    *((_Inert, f"numpy.{name}") for name in ("dtype", "core.multiarray.scalar", "_core.multiarray.scalar")),
]


def read(path: Path, scale: float | None = None) -> StoredAdapters:
    """Read the adapters in a checkpoint of the authors' code.

    Args:
        path: the checkpoint.
        scale: the adapters' scale; None to read it from the settings beside the checkpoint.

    Raises:
        InputError: damaged or another kind of file, objects other than tensors, missing settings, or a kind of adapter
            that the published method does not have (a layer norm, a learnt scale).
    """
    tower = _tower(path)
    settings = _settings(path)
    states: dict[int, dict[str, torch.Tensor]] = {}
    frozen = {}
    for name, tensor in tower.items():
        match = _ADAPTER.fullmatch(name)
        if match:
            states.setdefault(int(match[1]), {})[f"{match[2]}.{match[3]}"] = tensor.float()
        elif ".adaptmlp." in name:
            raise InputError(f"{path}: {name}: only adapters of two linear layers are supported; train others")
        else:
            frozen[name] = tensor
    if settings.get("ffn_adapter_layernorm_option", "none") != "none":
        raise InputError(f"{path.parent / 'configs.txt'}: ffn_adapter_layernorm_option: only 'none' is supported")
    try:
        stored = StoredAdapters(
            [states[i] for i in sorted(states)], _scale(path, settings, scale), _DROPOUT, frozen=frozen
        )
        for name, size in (("ffn_num", stored.bottleneck), ("d_model", stored.width)):
            if settings.get(name, size) != size:
                raise ValueError(f"configs.txt beside it has {name} {settings[name]}, the weights {size}")
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: not a checkpoint of the IMO authors' code ({error}); copy it again") from error
    return stored


def _tower(path: Path) -> dict[str, torch.Tensor]:
    """The visual tower's weights, by their names in the tower."""
    with reading(f"{path}: damaged, or not an adapter file", "train or copy it again"):
        try:
            with _objects_made_inert():
                content = load_tensors(path)
        except pickle.UnpicklingError as error:  # objects other than tensors
            raise InputError(
                f"{path}: holds more than tensors, refused; only if you trust it, keep the weights alone: python -c "
                f"\"import torch; s = torch.load('{path}', weights_only=False); torch.save({{'teacher': s['teacher']}} "
                f"if 'teacher' in s else s, '{path.with_suffix('')}_weights.pt')\""
            ) from error
        state = content.get("teacher", content)
        tower = {match[1]: tensor for name, tensor in state.items() if (match := _TOWER.fullmatch(name))}
        if not all(torch.is_tensor(tensor) for tensor in tower.values()):
            raise ValueError("not all of its weights are tensors")
        return tower


def _objects_made_inert() -> contextlib.AbstractContextManager[object]:
    """A context in which a weights-only load accepts and drops `_BESIDE_TENSORS`. PyTorch before 2.6 cannot, and
    refuses such files."""
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        return contextlib.nullcontext()
    return torch.serialization.safe_globals(_BESIDE_TENSORS)


def _settings(path: Path) -> dict[object, object]:
    """All constants in `configs.txt`, of inner dictionaries too, by key. Empty if there is no such file."""
    file = path.parent / "configs.txt"
    if not file.is_file():
        return {}
    with reading(f"{file}: not the printed form of a Python dict", "copy it again"):
        tree = ast.parse(file.read_text(encoding="utf-8").strip(), mode="eval")
    return {
        key.value: value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values)
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
    }


def _scale(path: Path, settings: dict[object, object], scale: float | None) -> float:
    """The given scale, or else that of the settings; InputError if neither is there."""
    if scale is not None:
        return scale
    try:
        return float(str(settings["ffn_adapter_scalar"]))
    except (KeyError, ValueError) as error:
        file = path.parent / "configs.txt"
        found = f"has ffn_adapter_scalar {settings['ffn_adapter_scalar']!r}" if settings else "is missing"
        raise InputError(
            f"{file}: {found}; the adapters' scale is read from there: put it there, or give it (0.03 supervised, 0.1 "
            f"self-supervised, as published): imo adapter convert {quote(str(path))} adapter.safetensors --scale 0.03"
        ) from error
