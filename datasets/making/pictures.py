"""Writing images to disk: a folder that is there is whole."""

import contextlib
import os
import shutil
import tempfile

from PIL import Image


@contextlib.contextmanager
def whole_folder(path):
    """A temporary folder that becomes `path` when the block ends well, and vanishes otherwise.

    Two processes may make the same folder at once: the first to finish keeps it.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        with contextlib.suppress(OSError):  # there already
            os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save_png(array, path):
    """(H, W) or (H, W, 3) uint8 -> a PNG file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(array).save(path)
