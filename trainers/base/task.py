"""What a method is fitted to and asked about: tensors alone, each encoded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import torch
import torch.nn.functional as F

from imo.errors import InputError

ImageFunction = Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]  # (CLIP, (B, 3, H, W)) -> (B, k)
RowSource = Callable[[Mapping[str, object], ImageFunction], torch.Tensor]
T = TypeVar("T")


class Given(Generic[T]):
    """A field of a data class that is given as a value, or as a function that makes it when it is first read.

    Args:
        instead: name of the field that is read in its place where it is not given.
        missing: what an InputError says where it is read and was not given; by default it is None then.
    """

    def __init__(self, instead: str = "", missing: str = "") -> None:
        self.instead, self.missing = instead, missing

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, holder: Any, value: T | Callable[[], T] | None) -> None:
        vars(holder)[self.name] = value

    def __get__(self, holder: Any, owner: type) -> T:
        if holder is None:  # a data class asks for the field's default
            return cast("T", None)
        value: Any = vars(holder)[self.name]
        if callable(value):
            value = vars(holder)[self.name] = value()
        if value is None and self.instead:
            value = getattr(holder, self.instead)
        if value is None and self.missing:
            raise InputError(self.missing)
        return cast("T", value)


@dataclass(frozen=True)
class TextClassifier:
    """The classes as CLIP's text encoder sees them.

    Attributes:
        weights: (C, d) float32, normalised: for each class the mean over templates of normalised text features.
        logit_scale: factor on cosine similarities, exp of CLIP's own (100 for OpenAI's models).
        raw: (C, d) float32, the mean over templates of text features that are not normalised, where it is known.
    """

    weights: torch.Tensor
    logit_scale: float
    raw: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.weights)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Zero-shot logits `exp(logit_scale) f W^T`. (..., d) -> (..., C)."""
        return self.logit_scale * F.normalize(features, dim=-1) @ self.weights.T

    @property
    def unnormalised(self) -> torch.Tensor:
        """(C, d) `raw`, for methods whose published step sizes fit the length of text features."""
        return self.weights if self.raw is None else self.raw


@dataclass(eq=False, repr=False)
class Queries:
    """Images to classify, as features.

    Attributes:
        text: the classes to choose from.
        features: (N, d) CLIP's own image features, not normalised.
        corrected: (N, d) the same under the correction; by default CLIP's own.
        targets: (N,) int64 classes, where they are known; else InputError.
        own_keys: (N,) int64, where the queries are the support images themselves: the position of each query's own key,
            which it must leave out (leave-one-out); else None.
        rows: computes (N, k) numbers from the images, for methods that need more of them than features; see `computed`.
    """

    text: TextClassifier
    features: Given[torch.Tensor] = Given(missing="queries: there are no features; give features")
    corrected: Given[torch.Tensor] = Given(instead="features")
    targets: Given[torch.Tensor] = Given(missing="queries: their classes are not known; give targets")
    own_keys: Given[torch.Tensor | None] = Given()
    rows: RowSource | None = None

    def zero_shot_logits(self) -> torch.Tensor:
        """(N, C) logits of zero-shot CLIP: always on its own features, whatever the correction."""
        return self.text.logits(self.features)

    def computed(self, key: Mapping[str, object], function: ImageFunction) -> torch.Tensor:
        """(N, k) float32 rows that `function(CLIP, images)` gives for the images, each computed once.

        Args:
            key: what the rows depend on beside backbone and image, as JSON values; names them in the feature store.
            function: takes CLIP and (B, 3, H, W) images, gives (B, k).

        Raises:
            InputError: the queries were made of features, without images.
        """
        if self.rows is None:
            raise InputError("queries: this method looks at images, and only features were given")
        return self.rows(key, function)


@dataclass(eq=False, repr=False)
class Task:
    """A few-shot classification task.

    Attributes:
        text: the classes.
        labels: (M,) int64 class of each support image.
        views: (M, P, d) CLIP's own features of P augmented views of each support image, not normalised.
        corrected_views: the same under the correction; by default CLIP's own.
        support: the support images as queries, not augmented, with their own keys; InputError where not given.
        tuning: the images on which hyper-parameters are chosen: validation images or, by leave-one-out, `support`;
            InputError where not given.
        seed: fixes all random choices of a method; negative leaves them free.
    """

    text: TextClassifier
    labels: Given[torch.Tensor] = Given(missing="task: there are no labels; give labels")
    views: Given[torch.Tensor] = Given(missing="task: there are no views; give views")
    corrected_views: Given[torch.Tensor] = Given(instead="views")
    support: Given[Queries] = Given(missing="task: this method reads support images without augmentation; give support")
    tuning: Given[Queries] = Given(missing="task: this method chooses hyper-parameters; give tuning queries")
    seed: int = 0

    @property
    def keys(self) -> torch.Tensor:
        """(M, d) mean over views of CLIP's own support features."""
        return self.views.mean(1)

    @property
    def corrected_keys(self) -> torch.Tensor:
        """(M, d) mean over views of the support features under the correction."""
        return self.corrected_views.mean(1)

    @property
    def leaves_one_out(self) -> bool:
        """Whether the tuning queries are the support images themselves, not validation images."""
        given = vars(self)
        return given["tuning"] is not None and given["tuning"] is given["support"]

    @property
    def tunable(self) -> bool:
        """Whether there is anything to tune on: leave-one-out needs a class with two support images."""
        return not self.leaves_one_out or bool(self.labels.bincount().max() > 1)
