"""The command `imo` in a process of its own, which is forked, so that it begins at once."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FORK = multiprocessing.get_context("fork")


def begin(words: list[str], log: Path, memory: int = resource.RLIM_INFINITY) -> Any:
    """Begin `imo` with these words, in a group of processes of its own.

    Args:
        log: what it prints is added there.
        memory: bytes that it may take.
    """
    process = FORK.Process(target=_work, args=(words, log, memory))
    process.start()
    return process


def _work(words: list[str], log: Path, memory: int) -> None:
    from imo import files
    from imo.workbench import cli

    os.setsid()
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    sys.stdout = sys.stderr = open(log, "a", buffering=1)  # noqa: SIM115
    for stream in (1, 2):  # its own processes' too
        os.dup2(sys.stdout.fileno(), stream)
    files.drop_leftovers.cache_clear()
    os._exit(cli.main(words))
