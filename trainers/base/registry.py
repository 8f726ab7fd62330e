"""Methods as Dassl trainers."""

from __future__ import annotations

from typing import Any

from dassl import engine

from imo.trainers.base.method_trainer import MethodTrainer
from imo.trainers.base.methods import METHODS, Method
from imo.trainers.base.options import node_of


def trainer_of(method: type[Method]) -> type[MethodTrainer]:
    """The trainer class of a method: `MethodTrainer` with the method in it, under the method's name."""
    kept = ("__doc__", "__module__", "correction", "needs_shots", "training_free")
    facts = {name: getattr(method, name) for name in kept}
    base = method.base.__name__ if method.base else None
    own = {"method_class": method, "base_name": base, "node": node_of(method)}
    return type(method.__name__, (MethodTrainer,), {**facts, **own})


def corrected_name(name: str, correction: str) -> str | None:
    """The trainer that is the named one under a correction, for instance TipXPP for ("TipX", "adapter"); None where
    there is none."""
    registry = engine.TRAINER_REGISTRY
    for other in registry.registered_names():
        kind: Any = registry.get(other)
        if getattr(kind, "base_name", None) == name and kind.correction == correction:
            return str(other)
    return None


def register_methods(registry: Any) -> None:
    """Enter every known method that is not there yet into a registry of trainers."""
    for method in METHODS.values():
        if method not in _ENTERED:
            _ENTERED.add(method)
            registry.register(trainer_of(method))


_ENTERED: set[type[Method]] = set()
