"""The methods of this project, one file each: classes with `fit(task)` and `logits(queries)`, and trainers for Dassl.

`register()` makes Dassl trainers of them under their class names, and makes `dassl` importable first (see
`imo.compat.bridge`). A name that somebody registered before stays theirs; ours is then called `imo.` and the name.
To add a method, add a file.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from imo.compat.bridge import ensure_dassl
from imo.compat.plugins import beside, extend_with, plugins


def register() -> list[ModuleType]:
    """Import every trainer file and enter what it defines into Dassl's registry, once. Returns the modules.

    A method that is defined later, in a file of one's own, is entered by the next call.
    """
    ensure_dassl()
    engine = importlib.import_module("dassl.engine")
    with beside(engine, "TRAINER_REGISTRY"):
        modules = plugins(sys.modules[__name__])
        importlib.import_module("imo.trainers.base.registry").register_methods(engine.TRAINER_REGISTRY)
    return modules


def extend_cfg(cfg: Any) -> None:
    """Register the trainers, and add their options to Dassl's defaults: the shared ones and each trainer's own."""
    modules = register()
    from imo.trainers.base import METHODS, options

    extend_with(cfg, (options, *modules))
    for method in METHODS.values():
        if method.base is None:
            options.add_node(cfg, method)
