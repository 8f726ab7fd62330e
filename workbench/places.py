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


def checkout_store() -> Path:
    """Where features are kept by default in a CoOp checkout, in which nothing of ours is left behind:
    ~/.cache/clip-imo/features, or below XDG_CACHE_HOME, where that is an absolute path, as its standard has it."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "clip-imo" / "features"


def default_store() -> Path:
    """The store that is looked into where none is named: of this folder's runs, else the one of CoOp checkouts."""
    own = Path("output/features")
    return own if own.is_dir() or not checkout_store().is_dir() else checkout_store()


def python(code: str, *words: str) -> tuple[str, ...]:
    """Python with this code and these words, for another process. Nothing is imported from the current folder, where a
    CoOp checkout has another `clip`, and anybody's archive may have anything."""
    home = str(ROOT if _IN_CHECKOUT else ROOT.parent)
    path = f"[{home!r}, *filter(None, sys.path)]"
    return sys.executable, "-W", "ignore", "-c", f"import sys; sys.path = {path}; {code}", *words


def command(*words: str) -> tuple[str, ...]:
    """`imo` with these words, for another process."""
    return python("from imo.workbench.cli import main; sys.exit(main())", *words)
