"""Finds a package's plug-in modules, every module whose name does not start with an underscore, and registers them."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

PREFIX = "imo."


def plugins(package: ModuleType) -> list[ModuleType]:
    """Import and return the plug-in modules of a package, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg and m.name[0] != "_")
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


class _Beside:
    """Enters classes into a registry of Dassl's beside those that are there: a name that is taken stays its owner's,
    and ours goes under PREFIX and the name."""

    def __init__(self, registry: Any) -> None:
        self._registry, self._taken = registry, registry.registered_names()

    def register(self, kind: Any = None) -> Any:
        """Dassl's decorator, `@REGISTRY.register()`, or a call with a class."""
        if kind is None:
            return self.register
        entry = kind
        if kind.__name__ in self._taken:
            entry = type(PREFIX + kind.__name__, (kind,), {"__doc__": kind.__doc__, "__module__": kind.__module__})
        self._registry.register(entry)
        return kind


@contextlib.contextmanager
def beside(module: ModuleType, registry: str) -> Iterator[None]:
    """Modules imported within the block may register names in `module.registry` that others have already: a CoOp
    checkout has trainers and datasets of ours under the same names."""
    theirs = getattr(module, registry)
    setattr(module, registry, _Beside(theirs))
    try:
        yield
    finally:
        setattr(module, registry, theirs)


def extend_with(cfg: Any, modules: Iterable[ModuleType]) -> None:
    """Let each module that has options of its own, a function `extend_cfg(cfg)`, add them to a config."""
    for module in modules:
        if hasattr(module, "extend_cfg"):
            module.extend_cfg(cfg)
