"""Checking names that a user gives against the known ones."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any


def get_most_similar_str_to_a_from_b(a: str, b: Sequence[str]) -> str | None:
    """The element of b most similar to a; the last of equally similar ones; None if b is empty."""
    return max(reversed(b), key=lambda candidate: SequenceMatcher(None, a, candidate).ratio(), default=None)


def check_availability(requested: str, available: Sequence[str]) -> None:
    """Raise ValueError, which suggests the most similar name, if `requested` is not in `available`."""
    if requested not in available:
        nearest = get_most_similar_str_to_a_from_b(requested, available)
        raise ValueError(f"expected one of {list(available)}, but got [{requested}] (do you mean [{nearest}]?)")


def tolist_if_not(x: Any) -> list[Any]:
    """x if it is a list, else [x]."""
    return x if isinstance(x, list) else [x]
