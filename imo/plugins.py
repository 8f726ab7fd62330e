"""Finds a package's plug-in modules: every module whose name does not start with an underscore."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def plugins(package: ModuleType) -> list[ModuleType]:
    """Import and return the plug-in modules of a package, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_")
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]
