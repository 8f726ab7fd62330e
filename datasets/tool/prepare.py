"""Fetches what torchvision's own downloaders can fetch, and lays it out as the datasets expect it."""

import http.client
import os
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base.split_dataset import SplitDataset
from imo.datasets.tool.check import absent, check, config
from imo.errors import InputError

STAGING = ".prepare"  # in the dataset's folder; whole archives wait here for the next try
ARCHIVES = (".gz", ".tgz", ".zip", ".tar")
CUT_SHORT = (
    RuntimeError, ConnectionError, TimeoutError, http.client.HTTPException, EOFError, tarfile.TarError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def prepare(name, root):
    """(whether the dataset is ready, lines that say so and what is left to do by hand)."""
    cfg = config(name, root)
    kind = DATASET_REGISTRY.get(cfg.DATASET.NAME)
    folder = Path(root).resolve() / kind.dataset_dir
    if kind.torchvision:
        fetch(kind, folder)
    elif kind.prepare is not SplitDataset.prepare:
        try:
            kind(cfg)  # makes what it can
        except InputError:
            if not kind.sources:  # else what it lacks is said below
                raise
    by_hand = [f"         by hand: {command(path, kind.sources[path], folder)}" for path in absent(kind, root)]
    ready, lines = check(name, root)
    return ready, [lines[0], *(by_hand or lines[1:])]


def command(path, source, folder):
    """How to get a file: the command where there is one, else where it is."""
    if source.startswith("https://drive.google.com/file/d/") and "(" not in source:
        return f"gdown {source.split('/')[-2]} -O {folder / path}"
    return f"{folder / path} from {source}"


def fetch(kind, folder):
    """Download to the side, then move what is not there yet into place; whole archives outlive a failure."""
    moves = {staged: folder / to for staged, to in kind.torchvision.moves.items() if not (folder / to).exists()}
    if not moves:
        return
    import torchvision

    staging = folder / STAGING
    drop_unpacked(staging)  # what a killed process left: torchvision would take half a folder for the whole
    staging.mkdir(parents=True, exist_ok=True)
    try:
        getattr(torchvision.datasets, kind.torchvision.name)(str(staging), download=True)
        for staged, to in moves.items():
            os.replace(staging / staged, to)
    except (OSError, ImportError, ValueError, *CUT_SHORT) as error:
        archives = archives_of(staging)
        if archives and isinstance(error, CUT_SHORT):
            archives.pop().unlink()
        drop_unpacked(staging)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{kind.__name__}: download failed ({reason}); run the same command again"
            f"{', which goes on with the archives that are whole' if archives else ''}, or see DATASETS.md"
        ) from error
    shutil.rmtree(staging)


def archives_of(staging):
    """The archives that torchvision has fetched, by time of change."""
    found = [path for path in (*staging.glob("*"), *staging.glob("*/*")) if path.name.endswith(ARCHIVES)]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def drop_unpacked(staging):
    """Remove all but archives, and folders that are empty then."""
    kept = {path for archive in archives_of(staging) for path in (archive, *archive.parents)}
    for path in (*staging.glob("*/*"), *staging.glob("*")):
        if path not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (staging, staging.parent):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
