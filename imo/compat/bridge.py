"""Makes `import dassl` work: the real one where it is installed, the small stand-in `imo/compat/dassl` elsewhere."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_FOLDER = str(Path(__file__).parent)  # holds the package dassl


def ensure_dassl() -> str:
    """Returns "dassl" or "imo.compat", whichever answers to `import dassl` from now on."""
    spec = importlib.util.find_spec("dassl")
    if spec is None:
        sys.path.append(_FOLDER)  # last, so that it never shadows a real one
        return "imo.compat"
    return "imo.compat" if (spec.origin or "").startswith(_FOLDER) else "dassl"
