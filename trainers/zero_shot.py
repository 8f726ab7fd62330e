"""Zero-shot CLIP, with one prompt and with several."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from imo.model.templates import DEFAULT, SELECTED
from imo.trainers.base import Method, Queries, Task, method


@method
class ZeroshotCLIP(Method):
    """Classification by text alone, one prompt a class: logits `exp(logit_scale) f W^T`.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
    https://arxiv.org/abs/2103.00020. Uses no support set and no validation images. The prompt is the dataset's own, as
    in CoOp; "a photo of a {}." where the dataset has several, which is CoOp's for ImageNet and its variants.
    """

    correction = "none"
    needs_shots = False

    def choose_templates(self, templates: Iterable[str]) -> list[str]:
        own = list(templates)
        return own if len(own) == 1 else [DEFAULT]

    def fit(self, task: Task) -> None:
        """There is nothing to learn."""

    def logits(self, queries: Queries) -> torch.Tensor:
        return queries.zero_shot_logits()

    def restrict(self, classes: torch.Tensor) -> None:
        """There is nothing to restrict."""


@method
class ZeroshotCLIP2(ZeroshotCLIP):
    """Zero-shot CLIP on the mean of several prompts: seven general ones and the dataset's own.

    As in CoOp (Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022,
    https://github.com/KaiyangZhou/CoOp). ImageNet's own are those seven; CoOp adds "a photo of a {}." for ImageNet's
    variants, we do not.
    """

    def choose_templates(self, templates: Iterable[str]) -> list[str]:
        return list(dict.fromkeys([*SELECTED, *templates]))
