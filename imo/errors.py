"""Errors that a user can mend, and their text."""

from __future__ import annotations


class InputError(ValueError):
    """A file, option or argument cannot be used. The text names it and the remedy, in one line; commands print that
    line and exit with status 2."""


def explain(error: InputError | OSError) -> str:
    """The one line that a command prints for an error."""
    if isinstance(error, InputError):  # raised in a data loader's worker, its text is a traceback that ends with ours
        return str(error).strip().splitlines()[-1].replace("imo.errors.InputError: ", "")
    where, reason = error.filename or "log.txt or standard output", error.strerror or error  # others are named
    return " ".join(f"{where}: {reason}; check that it is there and writable, and that the disk has room".split())
