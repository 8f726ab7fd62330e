"""Files and folders."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

from PIL import Image

from imo.files import atomic_path
from imo.images import open_image


def mkdir_if_missing(dirname: str) -> None:
    """Create a folder, and those above it, unless it is there."""
    if dirname:
        os.makedirs(dirname, exist_ok=True)


def check_isfile(fpath: str) -> bool:
    """Whether fpath is a file; warns if not."""
    found = os.path.isfile(fpath)
    if not found:
        warnings.warn(f'No file found at "{fpath}"', stacklevel=2)
    return found


def listdir_nohidden(path: str, sort: bool = False) -> list[str]:
    """The names in a folder, without those that start with a dot."""
    names = [name for name in os.listdir(path) if not name.startswith(".")]
    return sorted(names) if sort else names


def read_json(fpath: str) -> Any:
    """The content of a JSON file."""
    with open(fpath, encoding="utf-8") as file:
        return json.load(file)


def write_json(obj: Any, fpath: str) -> None:
    """Write a JSON file, whole or not at all; its folder is created if it is missing."""
    with atomic_path(fpath) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(obj, file, indent=4, separators=(",", ": "))


def read_image(path: str) -> Image.Image:
    """An image file as an RGB image in memory."""
    return open_image(path)
