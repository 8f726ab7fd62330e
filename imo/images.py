"""Image files: which files are images, and reading them as RGB pixels."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from imo.errors import InputError

_PLUGINS = {".heic": "pillow-heif", ".heif": "pillow-heif", ".avif": "pillow>=11.3"}  # {suffix: what reads it}
_NO_IMAGES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}  # formats that Pillow knows, but cannot read
_SPANS = (1, *(2**bits for bits in (8, 10, 12, 14, 16)))  # grey values from 0: fractions, then whole numbers below
_told: set[tuple[str, str]] = set()  # warnings given by this process


@functools.cache
def _known() -> tuple[frozenset[str], tuple[str, ...]]:
    """(suffixes that only image files have, formats that a file's first bytes tell), with what plug-ins add."""
    for plugin in ("pillow_heif", "pillow_avif"):
        with contextlib.suppress(ImportError):
            getattr(importlib.import_module(plugin), "register_heif_opener", lambda: None)()
    suffixes, media = Image.registered_extensions(), Image.MIME
    readable = {name for name in Image.OPEN if name not in _NO_IMAGES}
    return (
        frozenset(s for s, name in suffixes.items() if name in readable and media.get(name, "").startswith("image/")),
        tuple(name for name in readable if Image.OPEN[name][1] is not None),
    )


def is_image(path: str) -> bool:
    """Whether a file is an image: by its suffix, in small or capital letters; by content, if that is no image's.

    Raises:
        InputError: the suffix is that of images which Pillow reads by a plug-in, which is not installed.
    """
    suffixes, formats = _known()
    suffix = os.path.splitext(path)[1].lower()
    if suffix in suffixes:
        return True
    if suffix in _PLUGINS:
        raise InputError(f"{path}: {suffix} images cannot be read without {_PLUGINS[suffix]}; pip install it")
    if not os.path.isfile(path):  # opening a pipe would wait for ever
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # reading it will tell
            Image.open(path, formats=formats).close()
        return True
    except (OSError, SyntaxError, ValueError, EOFError):
        return False
    except Image.DecompressionBombError:
        return True


def open_image(path: str | Path, upright: bool = False) -> Image.Image:
    """Read an image file, as RGB.

    Grey values of more than 8 bits are divided so that 8 bits hold their range. That is 16 bits as a rule. Values that
    use less, floats and negative values are scaled with a warning, the first time: see `_eight_bits`.

    Args:
        path: the file.
        upright: turn the image as its EXIF orientation says. (The field's code does not; Pillow always turns a TIFF.)

    Raises:
        InputError: the file is missing, damaged, no image, or so large that Pillow warns of it; or its pixels would all
            be next to black.
    """
    _known()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(path)
        with opened as image:
            deep = any(";16" in str(tile[3]) for tile in image.tile)  # Pillow keeps the upper 8 of 16 bits a colour
            turned = ImageOps.exif_transpose(image) if upright else image
            if image.mode.startswith(("I", "F")):
                return _eight_bits(turned, path)
            pixels = turned.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path}: image is too large ({error}); make it smaller") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        plugin = _PLUGINS.get(os.path.splitext(path)[1].lower(), "")
        remedy = f"restore the file, or pip install '{plugin}'" if plugin else "restore the file"
        raise InputError(f"{path}: image cannot be read ({error}); {remedy}") from error
    if deep and 0 < np.asarray(pixels).max() < 16:
        raise InputError(f"{path}: its 16 bits a colour hold values of 12 bits or fewer; convert it to 8 bits")
    return pixels


def _eight_bits(image: Image.Image, path: str | Path) -> Image.Image:
    """A grey image of whole numbers above 8 bits, or of floats, as RGB of 8 bits.

    Values from 0 are taken as fractions of 1 (floats), or as 8, 10, 12, 14 or 16 bits: the least range that holds them,
    if they use an eighth of it. Others, negative ones too, are stretched from their least to their greatest.
    """
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise ValueError("it holds NaN or infinity")
    spans = _SPANS if image.mode == "F" else _SPANS[1:]
    span: float = next((s for s in spans if low >= 0 and s / 8 <= high <= max(s - 1, 1)), 0)
    if span == 0:
        done, values, span = "scaled from their least (black) to their greatest (white)", values - low, high - low or 1
    else:
        done = f"read with {max(span - 1, 1)} as white"
    if image.mode == "F" or span != _SPANS[-1]:
        _tell_once("floats" if image.mode == "F" else "whole numbers above 8 bits", done, path)
    return Image.fromarray(np.minimum(values * (256 / span), 255).astype(np.uint8)).convert("RGB")


def _tell_once(kind: str, done: str, path: str | Path) -> None:
    """Warn, the first time in this process, of what was done to pixels of a kind."""
    if (kind, done) not in _told:
        _told.add((kind, done))
        warnings.warn(f"{path}: pixels are {kind}, {done}; the same is done to others like it", stacklevel=4)
