"""Dassl datasets of this project; each module registers its own under the class name.

Importing this package makes `dassl` importable (see `imo.workbench`) and imports every dataset. To add one, add a file.
"""

import sys

from imo.plugins import plugins
from imo.workbench import ensure_dassl

ensure_dassl()

plugins(sys.modules[__name__])


def extend_cfg(cfg):
    """Add the options that datasets read to Dassl's defaults."""
    from imo.datasets import _options

    _options.extend_cfg(cfg)
