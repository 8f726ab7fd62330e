"""Hashing files, and writing them so that no half-written file is left."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from imo.errors import InputError, reading
from imo.locks import lock

# Names of temporary files and folders: this, 12 random digits, a dash, the machine. PyTorch writes the name up to the
# last dot into the file.
_TEMPORARY, _MACHINE = ".imo-tmp.", platform.node().replace(".", "_")
_MOMENT, _HOUR = 10.0, 3600.0  # seconds
_JSON_LIMIT = 1 << 28  # bytes: far beyond a listing of ImageNet


def file_sha256(path: str | Path) -> str:
    """Hexadecimal sha256 of a file's content, as `sha256sum` prints it. An unchanged file is read once a process."""
    return _sha256(os.fspath(path), *file_state(path))


def file_state(path: str | Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds of a file: where they and the path stay, so does the content."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


@functools.cache
def _sha256(path: str, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def atomic_path(path: str | Path, folder: bool = False) -> Iterator[Path]:
    """Yield the path of a temporary file in the same folder, which is made if need be. The file is renamed to `path`
    when the block ends without error, and removed otherwise. What killed processes left there is removed, too.

    Args:
        folder: make a folder instead. Where `path` has been filled by then, what is there stays.

    Raises:
        OSError: with `path` as its file name, whatever file the error was about.
    """
    path = Path(path)
    temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(6)}-{_MACHINE}"
    try:
        with contextlib.ExitStack() as stack:
            path.parent.mkdir(parents=True, exist_ok=True)
            drop_leftovers(str(path.parent.absolute()))
            stack.callback(remove, temporary)
            temporary.mkdir() if folder else temporary.touch(exist_ok=False)
            if os.name == "posix":
                handle = os.open(temporary, os.O_RDONLY)
                stack.callback(os.close, handle)
                with contextlib.suppress(OSError):
                    lock(handle)  # says that its maker lives, see `leftovers`
            yield temporary
            try:
                os.replace(temporary, path)
            except OSError:
                if not (folder and path.is_dir() and any(path.iterdir())):
                    raise
    except OSError as error:  # the error of a full disk names no file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def leftovers(folder: str | Path) -> list[Path]:
    """Temporary files and folders of `atomic_path` whose makers are gone. Links are never among them.

    A maker that lives has the lock. On a shared disk that keeps locks to each machine, those of another machine are
    taken for left over when they have not changed for an hour.
    """
    found = []
    for path in Path(folder).glob(f"{_TEMPORARY}*"):
        ours = path.name[len(_TEMPORARY) + 13 :] == _MACHINE
        with contextlib.suppress(OSError, InputError):  # gone meanwhile, another user's, or a link
            handle = not_following(str(path), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            try:
                changed = max(place.lstat().st_mtime for place in (path, *(() if ours else path.rglob("*"))))
                if time.time() - changed > (_MOMENT if ours else _HOUR) and lock(handle):
                    found.append(path)
            finally:
                os.close(handle)
    return found


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; a link itself, not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@functools.cache
def drop_leftovers(folder: str) -> None:
    """Remove what is left over in a folder; once a process, for listing a large folder takes its time."""
    for path in leftovers(folder):
        with contextlib.suppress(OSError):
            remove(path)


def read_json(path: str | Path, kind: Any, what: str, remedy: str) -> Any:
    """The content of a JSON file, as a type that msgspec checks, and without NaN and infinities.

    Args:
        path: the file.
        kind: the type.
        what: is wrong where it cannot be read, for the message.
        remedy: for the message.

    Raises:
        InputError: it cannot be read, is no JSON or too large, is nested too deeply, or has another type.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_JSON_LIMIT + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', error)}); {remedy}") from error
    with reading(f"{path}: {what}", remedy):
        if len(content) > _JSON_LIMIT:
            raise ValueError(f"larger than {_JSON_LIMIT:,} bytes")
        # msgspec's own decoder refuses names of files that are not UTF-8, which `json` writes and reads.
        return msgspec.convert(json.loads(content, parse_float=_finite, parse_constant=_finite), kind)


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise ValueError(f"{number} is no finite number")
    return float(number)


def write_json(path: str | Path, content: msgspec.Struct, indent: int) -> Path:
    """Write a typed record as JSON; returns the path.

    Raises:
        msgspec.ValidationError: a field has another type or range than the record's class says, as NaN has; nothing is
            written.
    """
    path, encoded = Path(path), msgspec.json.encode(content)
    msgspec.json.decode(encoded, type=type(content))  # a Struct does not check its fields when it is made
    with atomic_path(path) as temporary:
        temporary.write_bytes(msgspec.json.format(encoded, indent=indent) + b"\n")
    return path


def settled(path: str) -> str:
    """The path without `.` and `..`, still of the same file: where a `..` follows a link, it leads to the folder above
    the one that the link leads to."""
    plain = os.path.normpath(path)
    if plain == path or not os.path.exists(path):
        return plain
    return plain if os.path.exists(plain) and os.path.samefile(plain, path) else os.path.realpath(path)


def refuse_links(path: str | Path, root: str | Path) -> None:
    """Raise InputError if `path`, or a folder between it and `root`, is a link.

    For what is emptied or filled under a known name: a link there, perhaps from someone's archive, would choose where.
    """
    root, path = Path(root), Path(path)
    for place in reversed([path, *path.parents][: len(path.parts) - len(root.parts)]):
        if place.is_symlink():
            raise InputError(
                f"{place}: a link to {os.readlink(place)}; nothing is written or removed through it, so remove the link"
            )


def not_following(path: str, flags: int) -> int:
    """An `opener` for `open`, which refuses a link in the file's place.

    Raises:
        InputError: `path` is a link.
    """
    refuse_links(path, Path(path).parent)
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
