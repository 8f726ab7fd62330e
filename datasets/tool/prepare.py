"""`imo datasets prepare`: downloads with torchvision what it can, laid out as the datasets expect it."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import shutil
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from shlex import quote

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import SplitDataset
from imo.datasets.tool.check import absent, check, config
from imo.errors import InputError, reason
from imo.files import refuse_links, remove
from imo.locks import holding

STAGING = ".prepare"  # in the dataset's folder: downloads go here; complete archives stay for the next try
ARCHIVES = (".gz", ".tgz", ".zip", ".tar")
CUT_SHORT = (  # what torchvision raises when a connection breaks or an archive is incomplete
    RuntimeError, ConnectionError, TimeoutError, http.client.HTTPException, EOFError, tarfile.TarError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def prepare(name: str, root: str | Path) -> tuple[bool, list[str]]:
    """Download a dataset, or make it, as far as that is possible.

    Returns:
        Whether it is ready, and the lines to print: the state, then what to do by hand.

    Raises:
        InputError: no such dataset, a failed download, or a missing package.
    """
    cfg = config(name, root)
    kind = DATASET_REGISTRY.get(cfg.DATASET.NAME)
    folder = Path(root).resolve() / kind.dataset_dir
    if kind.torchvision:
        beside = folder.with_name(f".{folder.name}.lock")
        with holding(beside, wait=True):  # of two at once, one would remove the other's downloads
            try:
                fetch(kind, folder)
            finally:
                beside.unlink()
    elif kind.prepare is not SplitDataset.prepare:
        try:
            kind(cfg)  # calls the dataset's own `prepare`
        except InputError:
            if not kind.sources:  # with sources, what is missing is listed below
                raise
    by_hand = [f"         by hand: {command(path, kind.sources[path], folder)}" for path in absent(kind, root)]
    ready, lines = check(name, root)
    return ready, [lines[0], *(by_hand or lines[1:])]


def command(path: str, source: str, folder: Path) -> str:
    """How to get a file of a dataset: a command for files on Google Drive, else its place and source in words."""
    if source.startswith("https://drive.google.com/file/d/") and "(" not in source:
        return f"gdown {source.split('/')[-2]} -O {quote(str(folder / path))}"
    return f"{folder / path} from {source}"


def fetch(kind: type[SplitDataset], folder: Path) -> None:
    """Download a dataset with torchvision into STAGING, then move what is not there yet into its folder.

    Raises:
        InputError: the download failed; complete archives are kept and are not downloaded again next time. Or STAGING,
            or what is to be fetched, is a link: other people's files would be removed, or written over.
        OSError: the disk is full, or not to be written; with STAGING as its file name.
    """
    assert kind.torchvision is not None
    moves = {staged: folder / to for staged, to in kind.torchvision.moves.items() if not (folder / to).exists()}
    staging = folder / STAGING
    for path in (staging, *moves.values()):
        refuse_links(path, folder)
    if not moves:
        remove(staging)  # of a process that was killed when all was done
        return
    import torchvision

    drop_unpacked(staging)  # a killed process may leave half a folder, which torchvision would take for the whole
    staging.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # older versions print where files come from
            getattr(torchvision.datasets, kind.torchvision.name)(str(staging), download=True)
        for staged, to in moves.items():
            os.replace(staging / staged, to)
    except (OSError, ImportError, ValueError, *CUT_SHORT) as error:
        archives = archives_of(staging)
        if archives and isinstance(error, CUT_SHORT):
            archives.pop().unlink()
        drop_unpacked(staging)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise OSError(error.errno, error.strerror, str(staging)) from error
        raise InputError(
            f"{kind.__name__}: download failed ({reason(error)}); run the same command again"
            f"{', which goes on with the archives that are whole' if archives else ''}, or see DATASETS.md"
        ) from error
    shutil.rmtree(staging)


def archives_of(staging: Path) -> list[Path]:
    """The archives that torchvision has downloaded, oldest first."""
    found = [path for path in _inside(staging) if path.name.endswith(ARCHIVES) and not path.is_symlink()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def _inside(staging: Path) -> list[Path]:
    """What is in STAGING and in its folders, inner first; links to folders are not followed."""
    outer = list(staging.glob("*"))
    return [*(path for place in outer if not place.is_symlink() for path in place.glob("*")), *outer]


def drop_unpacked(staging: Path) -> None:
    """Remove everything but archives from STAGING; then STAGING and its parent, if they are empty. Links are removed
    themselves, not what they lead to."""
    kept = {path for archive in archives_of(staging) for path in (archive, *archive.parents)}
    for path in _inside(staging):
        if path not in kept:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in (staging, staging.parent):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
