"""Checkpoints of the IMO authors' own code, read without running anything that they hold.

Supervised: a state dict of the visual tower with its adapters (`image_encoder.`) and of the head (`predictor.`).
Self-supervised: DINO's dictionary, whose `teacher` has them under `backbone.` and `head.`. An adapter's weights are
`transformer.resblocks.<i>.adaptmlp.{down_proj,up_proj}.{weight,bias}`. Their settings are beside the checkpoint, in
`configs.txt`: the printed form of a Python dict, which their code evaluates and ours parses.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from imo.errors import InputError
from imo.model.adapter.stored import StoredAdapters

SUFFIXES = (".pt", ".pth")
_DROPOUT = 0.1  # in their blocks' code, not in the settings
_TOWER = re.compile(r"(?:module\.)?(?:image_encoder|backbone)\.(.+)")
_ADAPTER = re.compile(r"transformer\.resblocks\.(\d+)\.adaptmlp\.(down|up)_proj\.(weight|bias)")


class _Inert:
    """Stands for an object that DINO's checkpoints hold beside tensors: made of anything, it keeps nothing."""

    def __init__(self, *args: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class _InertMapping:
    """Stands for a kind of dictionary; PyTorch's weights-only load fills none but its own kinds."""

    def __new__(cls, *args: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        return OrderedDict()


_BESIDE_TENSORS: list[Any] = [  # the command's arguments, and NumPy's numbers in the optimiser's state
    (_InertMapping, "yacs.config.CfgNode"),
    *((_Inert, f"numpy.{name}") for name in ("dtype", "core.multiarray.scalar", "_core.multiarray.scalar")),
]


def read(path: Path, scale: float | None = None) -> StoredAdapters:
    """The adapters in a checkpoint of theirs.

    Args:
        path: the checkpoint.
        scale: of the adapters, where the settings beside the checkpoint are missing or are to be overruled.

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
    """The visual tower's weights by name."""
    try:
        with _objects_made_inert():
            content = torch.load(path, map_location="cpu", weights_only=True)
        state = content.get("teacher", content)
        return {match[1]: tensor for name, tensor in state.items() if (match := _TOWER.fullmatch(name))}
    except (RuntimeError, EOFError, OSError, AttributeError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: damaged, or not an adapter file ({reason}); train or copy it again") from error
    except Exception as error:  # pickle.UnpicklingError: more than tensors inside
        raise InputError(
            f"{path}: holds more than tensors, refused; only if you trust it, keep the weights alone: python -c "
            f"\"import torch; s = torch.load('{path}', weights_only=False); torch.save({{'teacher': s['teacher']}} if "
            f"'teacher' in s else s, '{path.with_suffix('')}_weights.pt')\""
        ) from error


def _objects_made_inert() -> contextlib.AbstractContextManager[object]:
    """Within it, a weights-only load passes over `_BESIDE_TENSORS`; before PyTorch 2.6 it refuses them."""
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        return contextlib.nullcontext()
    return torch.serialization.safe_globals(_BESIDE_TENSORS)


def _settings(path: Path) -> dict[object, object]:
    """The constants in `configs.txt` by their key, at whatever depth; empty where there is no such file."""
    file = path.parent / "configs.txt"
    if not file.is_file():
        return {}
    try:
        tree = ast.parse(file.read_text(encoding="utf-8").strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        raise InputError(f"{file}: not the printed form of a Python dict ({error}); copy it again") from error
    return {
        key.value: value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values)
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
    }


def _scale(path: Path, settings: dict[object, object], scale: float | None) -> float:
    if scale is not None:
        return scale
    try:
        return float(str(settings["ffn_adapter_scalar"]))
    except (KeyError, ValueError) as error:
        file = path.parent / "configs.txt"
        found = f"has ffn_adapter_scalar {settings['ffn_adapter_scalar']!r}" if settings else "is missing"
        raise InputError(
            f"{file}: {found}; the adapters' scale is read from there: put it there, or give it (0.03 supervised, 0.1 "
            f"self-supervised, as published): imo adapter convert {path} adapter.safetensors --scale 0.03"
        ) from error
