"""The command `imo`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "train": "imo.workbench.train",
    "run": "imo.workbench.launcher",
    "compare": "imo.workbench.runs",
    "overlap": "imo.workbench.overlap",
    "sweep": "imo.workbench.sweep",
    "report": "imo.workbench.commands.report",
    "store": "imo.workbench.commands.store",
    "datasets": "imo.workbench.commands.datasets",
    "adapter": "imo.workbench.commands.adapter",
}


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    return int(importlib.import_module(COMMANDS[argv[0]]).main(list(argv[1:])))
