"""Name or path -> CLIP model and its preprocessing.

A model is of the `clip` package's own CLIP class, whichever way its weights come: OpenAI's names, the small `glyph`
that ships with this package, a TorchScript archive or state dict (.pt), or a state dict as safetensors. `_open_clip`
brings those of open_clip.
"""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from imo.errors import InputError
from imo.model import open_clip as _open_clip
from imo.model.assets import shipped_backbone, shipped_backbones

_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # numbers in OpenAI's archives


@functools.cache
def _clip(module: str) -> Any:
    """A module of the package `clip`. Imported at first use: a CoOp checkout has put its own on the path by then, of
    which build_model, tokenize, available_models, _MODELS, _download and _transform are used."""
    with warnings.catch_warnings():  # it imports pkg_resources, which warns of its own removal
        warnings.simplefilter("ignore")
        return importlib.import_module(f"clip.{module}")


def tokenize(texts: str | Sequence[str], truncate: bool = False) -> torch.Tensor:
    """CLIP's token ids, (B, 77) integers.

    Raises:
        RuntimeError: a text is longer than that, unless it is to be truncated.
    """
    tokens: torch.Tensor = _clip("clip").tokenize(texts, truncate=truncate)
    return tokens


def named_file(name: str) -> Path | None:
    """The weights file that a backbone's name spells out; None where it names none."""
    path = Path(name.partition("/")[2] if name.startswith(_open_clip.PREFIX) else name).expanduser()
    return path if path.is_file() else None


def locate(name: str) -> Path:
    """The weights file behind a backbone's name; OpenAI's are downloaded once to ~/.cache/clip.

    Args:
        name: `glyph`, one of `clip.available_models()`, the path of a .pt or .safetensors file, or
            `open_clip:<architecture>/<tag or file>`.

    Raises:
        InputError: unknown name, missing file, damaged embedded weights, or a download that failed.
    """
    if name.startswith(_open_clip.PREFIX):
        return _open_clip.locate(name)
    shipped = shipped_backbone(name)
    if shipped is not None:
        return shipped
    clip = _clip("clip")
    if name in clip.available_models():
        try:
            return Path(clip._download(clip._MODELS[name], str(Path("~/.cache/clip").expanduser())))
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"backbone '{name}' could not be downloaded to ~/.cache/clip ({error}); check the network, or put "
                f"the file there by hand, or give a path as MODEL.BACKBONE.NAME"
            ) from error
    path = Path(name).expanduser()
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
    name: str, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> tuple[torch.nn.Module, Callable[[Any], torch.Tensor]]:
    """Load a frozen CLIP in evaluation mode.

    Args:
        name: see `locate`.
        device: where the model goes.
        dtype: precision of the weights; by default float32 on CPU and float16 elsewhere, as `clip.load` has it.

    Returns:
        The model and the preprocessing that turns a PIL image into its (3, H, W) input. `model.known_tokens` holds
        the token ids that carry meaning, or None where all do; `model.tokenize` is its tokenizer.

    Raises:
        InputError: see `locate`; also weights that are not CLIP's.
    """
    device = torch.device(device)
    dtype = dtype or (torch.float32 if device.type == "cpu" else torch.float16)
    if name.startswith(_open_clip.PREFIX):
        model, preprocess = _open_clip.load(name, device, dtype)
        model.known_tokens = None
    else:
        model = _load(locate(name), device, dtype)
        preprocess = _clip("clip")._transform(model.visual.input_resolution)
    model.requires_grad_(False)
    return model.eval(), preprocess


def _load(path: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """A model of the class CLIP."""
    state = _read_state(path)
    known_tokens = _expand_vocabulary(state)
    build_model = _clip("model").build_model
    try:
        model = build_model(dict(state))
        model.float().load_state_dict(state, strict=False)  # again, unrounded: build_model goes through float16
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not the weights of a CLIP model ({reason}); give CLIP's own state dict") from error
    except TypeError as error:
        raise InputError(
            f"{_clip('model').__file__}: this `clip` builds a changed CLIP ({error}); run where the package "
            f"clip-anytorch comes first on Python's path"
        ) from error
    model = model.to(device, dtype)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):  # CLIP's compute in float32 whatever the precision of the rest
            module.float()
    model.known_tokens, model.tokenize = known_tokens, tokenize
    return model


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file; nothing that the file holds is run."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        try:
            with warnings.catch_warnings():  # TorchScript is deprecated, but OpenAI's files are in it
                warnings.simplefilter("ignore")
                state = dict(torch.jit.load(path, map_location="cpu").state_dict())
        except RuntimeError:
            state = dict(torch.load(path, map_location="cpu", weights_only=True))
    except (SafetensorError, RuntimeError, EOFError, OSError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: damaged or not a weights file ({reason}); copy it again") from error
    except Exception as error:  # pickle.UnpicklingError: more than tensors inside
        raise InputError(f"{path}: holds more than tensors, refused; save a plain state dict") from error
    state = state.get("state_dict", state)
    return {key: value for key, value in state.items() if torch.is_tensor(value) and key not in _NOT_WEIGHTS}


def _expand_vocabulary(state: dict[str, torch.Tensor]) -> frozenset[int] | None:
    """Turn a shortened token table (rows and their token ids) into CLIP's full one, zero where no row is stored."""
    if "token_embedding.rows" not in state:
        return None
    rows, tokens = state.pop("token_embedding.rows"), state.pop("token_embedding.tokens").long()
    table = torch.zeros(49408, rows.shape[1], dtype=rows.dtype)
    table[tokens] = rows
    state["token_embedding.weight"] = table
    return frozenset(tokens.tolist())


def unknown_words(model: torch.nn.Module, texts: Sequence[str]) -> list[str]:
    """Words of `texts` that hold a token without meaning to this model, sorted. Empty for CLIP's full vocabulary."""
    known = getattr(model, "known_tokens", None)
    if known is None:
        return []
    words = {word for text in texts for word in re.findall(r"[^\W_]+|[^\w\s]", text.lower())}
    pieces = {word: tokenize(word, truncate=True)[0] for word in words}
    return sorted(word for word, tokens in pieces.items() if not set(tokens[tokens > 0].tolist()) <= known)
