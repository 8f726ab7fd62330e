"""Where things lie, in a checkout as in an installed copy: configs/ stands beside workbench/."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"
_IN_CHECKOUT = (ROOT / "imo" / "__init__.py").is_file()


def default_folder(variable: str, name: str) -> str:
    """The folder that an environment variable names; where that is empty or not set, `name` in the checkout, or in the
    current folder where this project is installed."""
    return os.environ.get(variable) or str(ROOT / name if _IN_CHECKOUT else Path(name))


def command(*words: str) -> tuple[str, ...]:
    """`imo` with these words, for another process. Like `python -m imo`, but imports nothing from the current folder,
    where a CoOp checkout has another `clip`."""
    home = str(ROOT if _IN_CHECKOUT else ROOT.parent)
    path = f"[{home!r}, *filter(None, sys.path)]"
    start = f"import sys; sys.path = {path}; from imo.workbench.cli import main; sys.exit(main())"
    return sys.executable, "-W", "ignore", "-c", start, *words
