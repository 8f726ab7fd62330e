"""Imports all modules of a package that holds one trainer or dataset a file, and registers what they define."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

PREFIX = "imo."  # before our class's name in a registry of Dassl's, where another project registered that name


def plugins(package: ModuleType) -> list[ModuleType]:
    """Import a package's modules, in order of their names.

    Sub-packages and modules whose names start with an underscore are left out.
    """
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg and m.name[0] != "_")
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


class _Beside:
    """Registers classes in a registry of Dassl's without replacing any: where a class's name is taken, the class is
    registered under PREFIX and its name."""

    def __init__(self, registry: Any) -> None:
        self._registry, self._taken = registry, registry.registered_names()

    def register(self, kind: Any = None) -> Any:
        """Register a class; without an argument, return the decorator that does. Called as Dassl's own method is."""
        if kind is None:
            return self.register
        entry = kind
        if kind.__name__ in self._taken:
            entry = type(PREFIX + kind.__name__, (kind,), {"__doc__": kind.__doc__, "__module__": kind.__module__})
        self._registry.register(entry)
        return kind


@contextlib.contextmanager
def beside(module: ModuleType, registry: str) -> Iterator[None]:
    """Let modules that are imported inside the block register classes under names that are taken already.

    A CoOp checkout has trainers and datasets of its own, some under the names of ours. See `_Beside`.

    Args:
        module: Dassl's module from which trainers or datasets import the registry.
        registry: its name there.
    """
    theirs = getattr(module, registry)
    setattr(module, registry, _Beside(theirs))
    try:
        yield
    finally:
        setattr(module, registry, theirs)


def extend_with(cfg: Any, modules: Iterable[ModuleType]) -> None:
    """Call the function `extend_cfg(cfg)` of each module that has one; it adds the module's options to a config."""
    for module in modules:
        if hasattr(module, "extend_cfg"):
            module.extend_cfg(cfg)
