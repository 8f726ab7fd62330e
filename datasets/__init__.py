"""Dassl datasets of this project; each module registers its own under the class name.

Importing this package makes `dassl` importable (see `imo.workbench`) and imports every dataset. To add one, add a file.
"""

import sys

from imo.plugins import extend_with, plugins
from imo.workbench import ensure_dassl

ensure_dassl()

_MODULES = plugins(sys.modules[__name__])


def extend_cfg(cfg):
    """Add the options that datasets read to Dassl's defaults: the shared ones, then those of a dataset's own."""
    from imo.datasets import _options

    extend_with(cfg, (_options, *_MODULES))
