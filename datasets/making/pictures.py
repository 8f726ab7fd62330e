"""Writing images to disk, in folders that are either complete or absent."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
from PIL import Image


@contextlib.contextmanager
def whole_folder(path: str) -> Iterator[str]:
    """A temporary folder to write to. It is renamed to `path` when the block ends, and removed if the block fails.

    Two processes may make the same folder at once: the first to finish keeps it.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        with contextlib.suppress(OSError):  # another process made it meanwhile
            os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save_png(array: npt.NDArray[Any], path: str) -> None:
    """Write (H, W) or (H, W, 3) uint8 pixels as a PNG file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(array).save(path)
