"""Time per method from results: what a run took beside encoding, which runs share by way of the store, and with it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from tabulate import tabulate

from imo.results import Result


def seconds(results: Iterable[Result]) -> dict[str, tuple[float, ...]]:
    """By method, the mean seconds of a run from loading to test: without and with encoding."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for run in results:
        total = sum(run.seconds.values())
        rows.setdefault(run.method, []).append((total - run.seconds.get("encode", 0.0), total))
    return {name: tuple(map(statistics.fmean, zip(*pairs))) for name, pairs in rows.items()}


def timing(results: Iterable[Result]) -> str:
    """`seconds` as a table."""
    lines = [[name, *(f"{value:.2f}" for value in pair)] for name, pair in seconds(results).items()]
    table: str = tabulate(lines, ["method", "seconds a run", "with encoding"], "github", disable_numparse=True)
    return table
