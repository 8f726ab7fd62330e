"""A copy of standard output in a file."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TextIO, cast

from imo.files import not_following, refuse_links

from .files import mkdir_if_missing


class Logger:
    """Writes to the console and, where a path is given, to a file as well."""

    def __init__(self, fpath: str | None = None) -> None:
        self.console = sys.stdout
        self.file: TextIO | None = None
        if fpath is not None:
            mkdir_if_missing(os.path.dirname(fpath))
            # Appending never destroys a log of the same name; line buffering keeps it whole up to a crash.
            self.file = open(fpath, "a", buffering=1, encoding="utf-8", opener=not_following)  # noqa: SIM115

    def __getattr__(self, name: str) -> Any:
        """All other attributes, such as isatty or encoding, are the console's."""
        return getattr(self.console, name)

    def write(self, msg: str) -> int:
        """Write to the console and the file."""
        if self.file is not None:
            self.file.write(msg)
        return self.console.write(msg)

    def flush(self) -> None:
        """Flush the console and the file."""
        self.console.flush()
        if self.file is not None:
            self.file.flush()


def setup_logger(output: str | None = None) -> None:
    """Copy standard output to a file from now on.

    Args:
        output: a .txt or .log file, or a folder for log.txt. If the file is there, a date is appended to the name.

    Raises:
        InputError: the file is a link.
    """
    if output is None:
        return
    fpath = output if output.endswith((".txt", ".log")) else os.path.join(output, "log.txt")
    refuse_links(fpath, os.path.dirname(fpath))
    if os.path.exists(fpath):
        fpath += time.strftime("-%Y-%m-%d-%H-%M-%S")
    sys.stdout = cast(TextIO, Logger(fpath))
