"""Loads CLIP models by name or path.

Weights come from OpenAI (by the names that the package `clip` uses), from this package (the small `glyph`), from a
TorchScript archive or state dict (.pt), or from a state dict as safetensors; all give a model of the class
`clip.model.CLIP`. Names that begin with "open_clip:" give models of open_clip, see `imo.model.open_clip`.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable, Sequence
from os.path import expanduser  # pathlib's raises for a user that is not there
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from imo.bounds import check_tensors, load_tensors
from imo.checks import check_kind
from imo.errors import InputError, reading, reason
from imo.model import open_clip
from imo.model.activation import replace_activations
from imo.model.assets import shipped_backbone, shipped_backbones
from imo.model.openai_clip import clip_module
from imo.model.torchscript import RefusedArchive, is_torchscript, read_torchscript

_CONTEXT = 77  # tokens of a text, in every CLIP
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # numbers beside the weights in OpenAI's archives


def tokenize(texts: str | Sequence[str], truncate: bool = False) -> torch.Tensor:
    """CLIP's token ids (B, 77) of B texts.

    Raises:
        RuntimeError: a text has more than 77 tokens, and `truncate` is false.
    """
    tokens: torch.Tensor = clip_module("clip").tokenize(texts, truncate=truncate)
    return tokens


def named_file(name: str) -> Path | None:
    """The weights file that a backbone's name gives by its path; None for a name that is no existing file."""
    path = Path(expanduser(name.partition("/")[2] if name.startswith(open_clip.PREFIX) else name))
    return path if path.is_file() else None


def locate(name: str) -> Path:
    """Find the weights file of a backbone. OpenAI's are downloaded to ~/.cache/clip unless they are there.

    Args:
        name: `glyph`, one of `clip.available_models()`, the path of a .pt or .safetensors file, or
            `open_clip:<architecture>/<tag or file>`.

    Raises:
        InputError: unknown name, missing file, damaged weights of this package, or failed download.
    """
    if name.startswith(open_clip.PREFIX):
        return open_clip.locate(name)
    shipped = shipped_backbone(name)
    if shipped is not None:
        return shipped
    clip = clip_module("clip")
    if name in clip.available_models():
        try:
            return Path(clip._download(clip._MODELS[name], expanduser("~/.cache/clip")))
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"backbone '{name}' could not be downloaded to ~/.cache/clip ({error}); check the network, or put "
                f"the file there by hand, or give a path as MODEL.BACKBONE.NAME"
            ) from error
    path = Path(expanduser(name))
    if path.suffix in (".pt", ".safetensors"):
        if not path.is_file():
            raise InputError(f"{path}: no such weights file (MODEL.BACKBONE.NAME)")
        return path
    known = ", ".join([*shipped_backbones(), *clip.available_models()])
    raise InputError(
        f"unknown backbone '{name}' (MODEL.BACKBONE.NAME); known: {known}, a .pt or .safetensors path, or "
        f"open_clip:<architecture>/<tag or file>"
    )


def load_clip(
    name: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> tuple[torch.nn.Module, Callable[[Any], torch.Tensor]]:
    """Load a CLIP model in evaluation mode, with no parameter to be trained.

    Args:
        name: see `locate`.
        device: where the model goes.
        dtype: of the weights; by default float32 on CPU and float16 elsewhere, as in `clip.load`.

    Returns:
        The model, and the preprocessing that turns a PIL image into the model's (3, H, W) input. `model.tokenize` is
        its tokenizer; `model.known_tokens` is the set of token ids that the model knows, or None if it knows all.

    Raises:
        InputError: see `locate`; also a file that does not hold CLIP's weights, a device that this machine lacks, or a
            dtype that is not floating.
    """
    check_kind("name", name, str, Path)
    check_kind("device", device, str, torch.device)
    name, device = str(name), _available(device)
    dtype = torch.float16 if dtype is None and device.type != "cpu" else dtype or torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype: expected a floating torch.dtype, got {dtype!r}")
    if name.startswith(open_clip.PREFIX):
        model, preprocess = open_clip.load(name, device, dtype)
        model.known_tokens = None
    else:
        model = _load(locate(name), device, dtype)
        preprocess = clip_module("clip")._transform(model.visual.input_resolution)
    replace_activations(model)
    model.requires_grad_(False)
    return model.eval(), preprocess


def _available(device: str | torch.device) -> torch.device:
    """A device that this machine has.

    Raises:
        InputError: it has no such device.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:  # AssertionError: no CUDA
        raise InputError(f"device: '{device}' cannot be used on this machine ({reason(error)}); choose cpu") from error


def _load(path: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """A `clip.model.CLIP` with the weights in a file."""
    state = _read_state(path)
    with reading(f"{path}: not the weights of a CLIP model", "copy it again"):
        known_tokens = _expand_vocabulary(state)
    build_model = clip_module("model").build_model
    with reading(f"{path}: not the weights of a CLIP model", "give CLIP's own state dict"):
        try:
            with torch.device("meta"), warnings.catch_warnings():  # takes no memory: shapes may be huge and not fit
                warnings.simplefilter("ignore")
                length = build_model(dict(state)).context_length
        except TypeError as error:
            raise InputError(
                f"{clip_module('model').__file__}: this `clip` builds a changed CLIP ({error}); install the package "
                f"clip-anytorch, which comes first"
            ) from error
        if length != _CONTEXT:
            raise ValueError(f"texts of {length} tokens, not {_CONTEXT}")
        model = build_model(dict(state))
        model.float().load_state_dict(state, strict=False)  # again: build_model has rounded the weights to float16
    model = model.to(device, dtype)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):  # CLIP's layer norms compute in float32, whatever the other layers
            module.float()
    model.known_tokens, model.tokenize = known_tokens, tokenize
    return model


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the state dict in a file, by name. No code in the file is run.

    Raises:
        InputError: the file is damaged, or holds other objects than tensors.
    """
    with reading(f"{path}: damaged or not a weights file", "copy it again, or save a plain state dict"):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        try:
            state: Any = read_torchscript(path) if is_torchscript(path) else dict(load_tensors(path))
            check_tensors(state, path.stat().st_size)
        except RefusedArchive as error:
            raise InputError(f"{path}: TorchScript archive refused, {error}; save a plain state dict") from error
        except pickle.UnpicklingError as error:
            raise InputError(f"{path}: holds more than tensors, refused; save a plain state dict") from error
        state = state.get("state_dict", state)
        state = {str(key): value for key, value in state.items()}
    return {key: value for key, value in state.items() if torch.is_tensor(value) and key not in _NOT_WEIGHTS}


def _expand_vocabulary(state: dict[str, torch.Tensor]) -> frozenset[int] | None:
    """Expand a token embedding of which a file stores only some rows to CLIP's full one, in place; the others are zero.

    Returns:
        The token ids of the stored rows; None if the file stores the full embedding.
    """
    if "token_embedding.rows" not in state:
        return None
    rows, tokens = state.pop("token_embedding.rows"), state.pop("token_embedding.tokens").long()
    if int(tokens.min()) < 0:
        raise ValueError(f"token id {int(tokens.min())}")
    table = torch.zeros(49408, rows.shape[1], dtype=rows.dtype)
    table[tokens] = rows
    state["token_embedding.weight"] = table
    return frozenset(tokens.tolist())


def unknown_words(model: torch.nn.Module, texts: Sequence[str]) -> list[str]:
    """Words of `texts` that have a token which the model does not know, sorted; empty for a model that knows all."""
    known = getattr(model, "known_tokens", None)
    if known is None:
        return []
    words = {word for text in texts for word in re.findall(r"[^\W_]+|[^\w\s]", text.lower())}
    pieces = {word: tokenize(word, truncate=True)[0] for word in words}
    return sorted(word for word, tokens in pieces.items() if not set(tokens[tokens > 0].tolist()) <= known)
