"""Standard output and error of a command, whatever is at their other end: a reader that went away, a terminal without
our signs, or nothing."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from imo.errors import visible

GONE = 141  # the exit status that shells report for programs that a closed pipe ends
_SIGNS = {"±": "+/-", "→": "->", "−": "-", "≤": "<=", "ρ": "rho", "×": "x", "…": "..."}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What is written for signs that a stream's encoding does not have; see `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_SIGNS.get(sign) or sign.encode("unicode_escape").decode() for sign in signs), error.end


codecs.register_error("imo-signs", _in_ascii)


class Stream:
    """A text stream that ends the process, quietly and with status GONE, when nobody reads it any more. It does so by
    SystemExit, which no handler of errors takes for one of a file."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with self._reader():
            return int(self.stream.write(text))

    def flush(self) -> None:
        with self._reader():
            self.stream.flush()

    @contextlib.contextmanager
    def _reader(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())  # or Python complains when it flushes at the end
            os.close(nowhere)
            raise SystemExit(GONE) from None


class Log(Stream):
    """A stream in which control characters of names are made visible; ends of lines and tabs stay."""

    def write(self, text: str) -> int:
        return int(self.stream.write(text if text.isascii() and text.isprintable() else _lines_visible(text)))

    def flush(self) -> None:
        self.stream.flush()


def _lines_visible(text: str) -> str:
    return "\n".join("\t".join(visible(part) for part in line.split("\t")) for line in text.split("\n"))


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Within the block, standard output and error are as above, and a pipe sees each line as it comes."""
    before = sys.stdout, sys.stderr
    try:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:  # closed by whoever started us
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
            elif isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True, errors="imo-signs")
                setattr(sys, name, cast(TextIO, Stream(stream)))
        yield
    finally:
        sys.stdout, sys.stderr = before
