"""Weights that are part of this package. Their sha256 is checked whenever they are used."""

from __future__ import annotations

from pathlib import Path

from imo.errors import InputError
from imo.files import file_sha256

_FOLDER = Path(__file__).parent
_BACKBONES = {"glyph": ("glyph.safetensors", "0606f415d75dfb2c82d0153053d401fb921959443de2eddf20228df1ed9fbb5f")}
_ADAPTERS = {"glyph": ("glyph_adapter.safetensors", "3849709266a9d6002f8a69b24d096cb2c328aaf09ea971c3e71ffeb6a2fb73f3")}


def _checked(file_name: str, sha256: str) -> Path:
    """Path of a file in this folder; InputError if its sha256 is another one."""
    path = _FOLDER / file_name
    if not path.is_file() or file_sha256(path) != sha256:
        raise InputError(f"{path}: weights that ship with the package are missing or damaged; reinstall it")
    return path


def shipped_backbones() -> list[str]:
    """Names of the backbones in this package."""
    return list(_BACKBONES)


def shipped_backbone(name: str) -> Path | None:
    """Path of the weights of a backbone in this package; None for another name.

    Raises:
        InputError: the file is missing or damaged.
    """
    return _checked(*_BACKBONES[name]) if name in _BACKBONES else None


def shipped_adapter(backbone: str) -> Path | None:
    """Path of the adapters in this package for a backbone, given by name; None if there are none.

    Raises:
        InputError: the file is missing or damaged.
    """
    return _checked(*_ADAPTERS[backbone]) if backbone in _ADAPTERS else None
