"""What a method is fitted to and asked about: tensors alone, each encoded when it is first asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from imo.errors import InputError

Lazy = torch.Tensor | Callable[[], torch.Tensor]  # a tensor, or a function that makes it at first need
ImageFunction = Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]  # (CLIP, (B, 3, H, W)) -> (B, k)
RowSource = Callable[[Mapping[str, object], ImageFunction], torch.Tensor]


@dataclass(frozen=True)
class TextClassifier:
    """The classes as CLIP's text encoder sees them.

    Attributes:
        weights: (C, d) float32, normalised: for each class the mean over templates of normalised text features.
        logit_scale: factor on cosine similarities, exp of CLIP's own (100 for OpenAI's models).
        raw: (C, d) float32, the mean over templates of text features that are not normalised; called at first need.
    """

    weights: torch.Tensor
    logit_scale: float
    raw: Callable[[], torch.Tensor] | None = None

    def __len__(self) -> int:
        return len(self.weights)

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Zero-shot logits `exp(logit_scale) f W^T`. (..., d) -> (..., C)."""
        return self.logit_scale * F.normalize(features, dim=-1) @ self.weights.T

    @functools.cached_property
    def unnormalised(self) -> torch.Tensor:
        """(C, d) `raw`, for methods whose published step sizes fit the length of text features."""
        return self.weights if self.raw is None else self.raw()


class Queries:
    """Images to classify, as features.

    Args:
        text: the classes to choose from.
        features: (N, d) CLIP's own image features, not normalised.
        corrected: (N, d) the same under the correction; by default CLIP's own.
        targets: (N,) int64 classes, where they are known.
        own_keys: (N,) int64, where the queries are the support images themselves: the position of each query's own key,
            which it must leave out (leave-one-out).
        rows: computes (N, k) numbers from the images, for methods that need more of them than features; see `computed`.
    """

    def __init__(
        self,
        text: TextClassifier,
        features: Lazy,
        corrected: Lazy | None = None,
        targets: Lazy | None = None,
        own_keys: Lazy | None = None,
        rows: RowSource | None = None,
    ) -> None:
        self.text = text
        self._features, self._corrected, self._targets, self._own_keys = features, corrected, targets, own_keys
        self._rows = rows

    @functools.cached_property
    def features(self) -> torch.Tensor:
        """(N, d) CLIP's own features."""
        return _made(self._features)

    @functools.cached_property
    def corrected(self) -> torch.Tensor:
        """(N, d) features under the correction; CLIP's own where there is none."""
        return self.features if self._corrected is None else _made(self._corrected)

    @functools.cached_property
    def targets(self) -> torch.Tensor:
        """(N,) int64 classes.

        Raises:
            InputError: they are not known.
        """
        if self._targets is None:
            raise InputError("queries: their classes are not known; give targets")
        return _made(self._targets)

    @functools.cached_property
    def own_keys(self) -> torch.Tensor | None:
        """(N,) int64 position of each query's own key; None unless the queries are the support images."""
        return None if self._own_keys is None else _made(self._own_keys)

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
        if self._rows is None:
            raise InputError("queries: this method looks at images, and only features were given")
        return self._rows(key, function)


class Task:
    """A few-shot classification task.

    Args:
        text: the classes.
        labels: (M,) int64 class of each support image.
        views: (M, P, d) CLIP's own features of P augmented views of each support image, not normalised.
        corrected_views: the same under the correction; by default CLIP's own.
        support: the support images as queries, not augmented, with their own keys.
        tuning: the images on which hyper-parameters are chosen: validation images or, by leave-one-out, `support`.
        seed: fixes all random choices of a method; negative leaves them free.
    """

    def __init__(
        self,
        text: TextClassifier,
        labels: Lazy,
        views: Lazy,
        corrected_views: Lazy | None = None,
        support: Queries | None = None,
        tuning: Queries | None = None,
        seed: int = 0,
    ) -> None:
        self.text, self.seed = text, seed
        self._labels, self._views, self._corrected_views = labels, views, corrected_views
        self._support, self._tuning = support, tuning

    @functools.cached_property
    def labels(self) -> torch.Tensor:
        """(M,) int64 class of each support image."""
        return _made(self._labels)

    @functools.cached_property
    def views(self) -> torch.Tensor:
        """(M, P, d) CLIP's own features of the augmented support views."""
        return _made(self._views)

    @functools.cached_property
    def corrected_views(self) -> torch.Tensor:
        """(M, P, d) features of the augmented support views under the correction."""
        return self.views if self._corrected_views is None else _made(self._corrected_views)

    @property
    def keys(self) -> torch.Tensor:
        """(M, d) mean over views of CLIP's own support features."""
        return self.views.mean(1)

    @property
    def corrected_keys(self) -> torch.Tensor:
        """(M, d) mean over views of the support features under the correction."""
        return self.corrected_views.mean(1)

    @property
    def support(self) -> Queries:
        """The support images as queries, not augmented."""
        if self._support is None:
            raise InputError("task: this method reads support images without augmentation; give support")
        return self._support

    @property
    def tuning(self) -> Queries:
        """The images on which hyper-parameters are chosen."""
        if self._tuning is None:
            raise InputError("task: this method chooses hyper-parameters; give tuning queries")
        return self._tuning

    @property
    def leaves_one_out(self) -> bool:
        """Whether the tuning queries are the support images themselves, not validation images."""
        return self._tuning is not None and self._tuning is self._support

    @property
    def tunable(self) -> bool:
        """Whether there is anything to tune on: leave-one-out needs a class with two support images."""
        return not self.leaves_one_out or bool(self.labels.bincount().max() > 1)


def _made(value: Lazy) -> torch.Tensor:
    return value() if callable(value) else value
