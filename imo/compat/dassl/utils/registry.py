"""Look-up of classes by name."""

from __future__ import annotations

from typing import Any


class Registry:
    """Classes or functions under their own names.

    ``@REGISTRY.register()`` above a class, or ``REGISTRY.register(cls)``, enters it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._entries: dict[str, Any] = {}

    def register(self, obj: Any = None, force: bool = False) -> Any:
        """Enter obj, or return a decorator that does; a name already taken needs force."""
        if obj is None:
            return lambda decorated: self.register(decorated, force)
        name = obj.__name__
        if name in self._entries and not force:
            raise KeyError(f"{name!r} is already registered in the {self._name} registry")
        self._entries[name] = obj
        return obj

    def get(self, name: str) -> Any:
        """The entry of that name, or KeyError."""
        try:
            return self._entries[name]
        except KeyError:
            raise KeyError(f"{name!r} is not registered in the {self._name} registry") from None

    def registered_names(self) -> list[str]:
        """All names, in order of registration."""
        return list(self._entries)
