"""Looking up classes by name."""

from __future__ import annotations

from typing import Any

from .names import check_availability


class Registry:
    """Classes or functions by their names, entered by `@REGISTRY.register()` above them or `REGISTRY.register(cls)`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._entries: dict[str, Any] = {}

    def register(self, obj: Any = None, force: bool = False) -> Any:
        """Enter obj, or return a decorator that does. KeyError if the name is taken; `force` replaces the entry."""
        if obj is None:
            return lambda decorated: self.register(decorated, force)
        name = obj.__name__
        if name in self._entries and not force:
            raise KeyError(f"{name!r} is already registered in the {self._name} registry")
        self._entries[name] = obj
        return obj

    def get(self, name: str) -> Any:
        """The entry of that name; KeyError if there is none."""
        try:
            return self._entries[name]
        except KeyError:
            raise KeyError(f"{name!r} is not registered in the {self._name} registry") from None

    def build(self, name: str, cfg: Any, **kwargs: Any) -> Any:
        """Call the entry of that name with cfg and kwargs; ValueError, which suggests a name, if there is none."""
        check_availability(name, self.registered_names())
        if cfg.VERBOSE:
            print(f"Loading {self._name.lower()}: {name}")
        return self.get(name)(cfg, **kwargs)

    def registered_names(self) -> list[str]:
        """The names of all entries, in order of registration."""
        return list(self._entries)
