"""Dassl datasets of this project; each module registers its own under the class name.

Importing this package makes `dassl` importable (see `imo.workbench`) and imports every dataset. To add one, add a file.
A name that somebody registered before stays theirs; ours is then called `imo.` and the name.
"""

import importlib
import sys

from imo.compat.bridge import ensure_dassl
from imo.compat.plugins import beside, extend_with, plugins

ensure_dassl()

with beside(importlib.import_module("dassl.data.datasets"), "DATASET_REGISTRY"):
    _MODULES = plugins(sys.modules[__name__])


def extend_cfg(cfg):
    """Add the options that datasets read to Dassl's defaults: the shared ones, then those of a dataset's own."""
    from imo.datasets.base import options as _options

    extend_with(cfg, (_options, *_MODULES))
