"""Finds a package's plug-in modules: every module whose name does not start with an underscore."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import Any


def plugins(package: ModuleType) -> list[ModuleType]:
    """Import and return the plug-in modules of a package, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_")
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def extend_with(cfg: Any, modules: Iterable[ModuleType]) -> None:
    """Let each module that has options of its own, a function `extend_cfg(cfg)`, add them to a config."""
    for module in modules:
        if hasattr(module, "extend_cfg"):
            module.extend_cfg(cfg)
