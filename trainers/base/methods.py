"""The interface of a method: `fit(task)`, then `logits(queries)`. It knows no config, no files and no Dassl."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from imo.classify.search import SearchResult
from imo.errors import InputError
from imo.trainers.base.task import Queries, Task

METHODS: dict[str, type[Method]] = {}


class Method(nn.Module):
    """A few-shot method on image features.

    A method implements `fit`, which sets tensors as attributes and numbers in `settings`, and `logits`. What it sets is
    its state: `state_dict()` has all of it, and `load_state_dict` restores it in a fresh object of the same options.
    Options are the arguments of `__init__`, with defaults; `imo.trainers` makes config options of them.

    Attributes of a class:
        correction: the correction of image features that the method stands for ("none", "adapter"), or None where any
            may be chosen.
        base: for a corrected variant, the method that it corrects.
        needs_shots: whether it uses a support set.
        training_free: whether comparisons take it by default.
        reads_both: whether it reads the support views both with and without correction, which are then encoded at once.
        one_shot: settings to take where there is nothing to tune on.

    Attributes of an object:
        settings: hyper-parameters by name.
        tuning_accuracy: percent of the tuning queries that are right under them; None where none were looked at.
        chosen_by: how settings were chosen: "validation", "leave-one-out", "cross-validation", "one shot" (fixed
            values, for want of images to tune on), or None where there is nothing to choose.
        surface: the whole outcome of the search, where there was one; not part of the state.
        about: what the state belongs to, as JSON values; kept with it for whoever loads it.
    """

    correction: ClassVar[str | None] = None
    base: ClassVar[type[Method] | None] = None
    needs_shots: ClassVar[bool] = True
    training_free: ClassVar[bool] = True
    reads_both: ClassVar[bool] = False
    one_shot: ClassVar[dict[str, float]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.settings: dict[str, float] = {}
        self.tuning_accuracy: float | None = None
        self.chosen_by: str | None = None
        self.surface: SearchResult | None = None
        self.about: dict[str, Any] = {}

    @property
    def transductive(self) -> bool:
        """Whether the logits of one query depend on the others."""
        return False

    def choose_templates(self, templates: Iterable[str]) -> list[str]:
        """The prompts that the method's text classifier is made of, given the dataset's own."""
        return list(templates)

    def fit(self, task: Task) -> None:
        """Learn from the support set; choose hyper-parameters on the tuning queries."""
        raise NotImplementedError

    def logits(self, queries: Queries) -> torch.Tensor:
        """(N, C) class scores of N queries, the largest for the predicted class."""
        raise NotImplementedError

    def restrict(self, classes: torch.Tensor) -> None:
        """Keep of the state what belongs to `classes`, (C',) int64, which are numbered by their place from then on.

        Raises:
            InputError: the method cannot.
        """
        raise InputError(f"a state of {type(self).__name__} cannot be restricted to a part of its classes")

    # What methods are written with.

    def choose(self, queries: Queries, candidates: Iterable[tuple[dict[str, float], torch.Tensor]]) -> None:
        """Keep the first of the settings under which most queries are classified correctly.

        Args:
            queries: the tuning queries.
            candidates: settings, and the (N, C) logits they give, in the order of preference.
        """
        targets, most = queries.targets, -1
        for setting, logits in candidates:
            right = int((logits.argmax(1) == targets).sum())
            if right > most:
                best, most = setting, right
        self.keep(queries, best, 100.0 * most / len(targets))

    def keep(self, queries: Queries, settings: dict[str, float], accuracy: float) -> None:
        """Keep settings that were chosen on queries, and their accuracy there (percent)."""
        self.settings.update(settings)
        self.tuning_accuracy = accuracy
        self.chosen_by = "validation" if queries.own_keys is None else "leave-one-out"

    def keep_one_shot(self) -> None:
        """Keep the method's `one_shot` settings: with one support image a class and no other image, leave-one-out has
        nothing to say, since the class of the image that is left out has no key."""
        self.settings.update(self.one_shot)
        self.chosen_by = "one shot"

    # State.

    def __setattr__(self, name: str, value: Any) -> None:
        if torch.is_tensor(value) and name not in self._buffers:
            self.register_buffer(name, value)
        else:
            super().__setattr__(name, value)

    def get_extra_state(self) -> dict[str, Any]:
        """The part of the state that is no tensor."""
        return {"settings": dict(self.settings), "about": self.about}

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Take a state as it is: a cache has as many keys as its support set had images.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is no state of a method.
        """
        extra = state_dict["_extra_state"]
        self.settings.clear()
        self.settings.update({str(name): float(value) for name, value in extra["settings"].items()})
        self.about = dict(extra["about"])
        for name, value in state_dict.items():
            if name != "_extra_state":
                if not torch.is_tensor(value):
                    raise TypeError(f"{name}: expected a tensor, got {type(value).__name__}")
                setattr(self, name, value)


M = TypeVar("M", bound=type[Method])


def method(cls: M) -> M:
    """Decorator: enters a method under its class name, by which commands and `imo.trainers.register` find it.

    Raises:
        ValueError: another module has a method of this name.
    """
    other = METHODS.get(cls.__name__, cls)
    if other.__module__ != cls.__module__:
        raise ValueError(f"{cls.__module__}: {other.__module__} has a method {cls.__name__}; choose another name")
    METHODS[cls.__name__] = cls
    return cls


def cache_method(cls: M) -> M:
    """Decorator: enters a method, and a second one called like it with PP at the end: the same method fixed to features
    that adapters corrected, as Tip-Adapter++ is to Tip-Adapter."""
    summary = (cls.__doc__ or cls.__name__).partition("\n")[0]
    doc = f"{cls.__name__} on features corrected by adapters (++). {summary}"
    facts = {"__doc__": doc, "__module__": cls.__module__, "correction": "adapter", "base": cls}
    method(type(f"{cls.__name__}PP", (cls,), facts))
    return method(cls)
