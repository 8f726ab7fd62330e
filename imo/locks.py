"""Locks among processes, which the system lets go when a process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


def lock(handle: int, shared: bool = False, wait: bool = False) -> bool:
    """Take the system's lock on an open file or folder. It is let go when the last process that has `handle`, this one
    or one that inherited it, closes it or ends, however it ends.

    Args:
        shared: others may have it shared, too; else nobody else may.
        wait: until it is free.

    Returns:
        Whether it was free.

    Raises:
        OSError: the disk knows no locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise OSError(errno.ENOSYS, "no such locks on Windows") from error
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def holding(path: str | Path, shared: bool = False, wait: bool = False) -> Iterator[int | None]:
    """Hold the lock on a file within the block; the file, and its folder, are made if need be.

    Arguments are those of `lock`. Yields the open file; None where others hold the lock.

    Raises:
        OSError: the file cannot be made, or is a link, or the disk knows no locks.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    flags, there = getattr(os, "O_NOFOLLOW", 0), False
    while not there:
        try:
            handle = os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:  # another user's: a lock does not need the right to write
            handle = os.open(path, flags | os.O_RDONLY)
        try:
            free = lock(handle, shared, wait)
            # Who had the lock may have removed the file; then a new one of its name counts.
            there = not free or (os.path.exists(path) and os.path.samestat(os.fstat(handle), os.stat(path)))
            if there:
                yield handle if free else None
        finally:
            os.close(handle)
