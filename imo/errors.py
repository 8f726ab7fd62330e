"""Errors that a user can mend, and their text."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

_MOST = 500  # characters of another library's reason


class InputError(ValueError):
    """A file, option or argument cannot be used. The text names it and the remedy, in one line; commands print that
    line and exit with status 2."""


def visible(text: str) -> str:
    """The text with its control characters, line ends too, written out as in Python (`\\x1b`): a name from a file
    neither moves the cursor nor begins a line of its own."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(content: Any) -> Any:
    """JSON values with `visible` texts, for tables, logs and messages, which have them as they are."""
    if isinstance(content, str):
        return visible(content)
    if isinstance(content, list):
        return [shown(value) for value in content]
    return {visible(name): shown(value) for name, value in content.items()} if isinstance(content, dict) else content


def reason(error: BaseException) -> str:
    """What an error of another library says, in one line; its kind where it says nothing."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:  # without its number
        said = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, KeyError):
        said = f"no {said}"
    return said if len(said) <= _MOST else f"{said[:_MOST]} ..."


@contextlib.contextmanager
def reading(what: object, remedy: str) -> Iterator[None]:
    """Whatever a parser raises in the block becomes an InputError. A damaged or hostile file makes parsers raise nearly
    anything, so this is for the reading of one file, and nothing else.

    Args:
        what: the file, and what is wrong with it in general.
        remedy: what the user can do.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what} ({reason(error)}); {remedy}") from error


def explain(error: InputError | OSError) -> str:
    """The one line that a command prints for an error."""
    if isinstance(error, InputError):  # raised in a data loader's worker, its text is a traceback that ends with ours
        return visible(str(error).rpartition("imo.errors.InputError: ")[2].strip())
    where, why = error.filename or "log.txt or standard output", error.strerror or error  # others are named
    return visible(
        f"{where}: {' '.join(str(why).split())}; check that it is there and writable, and that the disk has room"
    )
