"""Makes `import dassl` work: with the real Dassl where it is installed, else with the stand-in imo/compat/dassl."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_FOLDER = str(Path(__file__).parent)  # holds the package dassl


def ensure_dassl() -> str:
    """Make `import dassl` work from now on.

    Returns:
        Which package it imports: "dassl" for the real one, "imo.compat" for the stand-in.
    """
    spec = importlib.util.find_spec("dassl")
    if spec is None or spec.origin is None:  # no package, or a mere folder of that name, such as a clone of Dassl
        sys.path.append(_FOLDER)  # last, so that it never shadows a real one
        return "imo.compat"
    return "imo.compat" if spec.origin.startswith(_FOLDER) else "dassl"
