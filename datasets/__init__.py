"""Dassl datasets of this project; each file registers its own under the class name.

Importing this package makes `dassl` importable and imports every dataset. To add one, add a file. A name that was
registered before stays with the class that has it; ours is then registered as `imo.<name>`.
"""

from __future__ import annotations

import importlib
import sys

from yacs.config import CfgNode

from imo.compat.bridge import ensure_dassl
from imo.compat.plugins import beside, extend_with, plugins

ensure_dassl()

with beside(importlib.import_module("dassl.data.datasets"), "DATASET_REGISTRY"):
    _MODULES = plugins(sys.modules[__name__])


def extend_cfg(cfg: CfgNode) -> None:
    """Add the options that datasets read to Dassl's defaults: the shared ones, then those of single datasets."""
    from imo.datasets.base import options

    extend_with(cfg, (options, *_MODULES))
