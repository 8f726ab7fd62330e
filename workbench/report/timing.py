"""Time per method from results: what a run took beside encoding, which runs share by way of the store, and with it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

from imo.workbench.report.tables import method_name


def timing(results: Iterable[Mapping[str, Any]]) -> str:
    """A table: for each method the mean seconds of a run from loading to test, without and with encoding."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for run in results:
        total, encoding = sum(run["seconds"].values()), run["seconds"].get("encode", 0.0)
        rows.setdefault(method_name(run), []).append((total - encoding, total))
    lines = [[name, *(f"{statistics.fmean(column):.2f}" for column in zip(*runs))] for name, runs in rows.items()]
    table: str = tabulate(lines, ["method", "seconds a run", "with encoding"], "github", disable_numparse=True)
    return table
