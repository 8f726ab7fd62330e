"""The text classifier of a dataset's classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from imo.errors import InputError
from imo.model.backbone import unknown_words
from imo.model.encode import encode_texts, fill
from imo.results import Prompts
from imo.trainers.base.task import TextClassifier


def classifier_of(
    model: Any, backbone: str, classnames: Sequence[str], templates: Sequence[str]
) -> tuple[TextClassifier, Prompts]:
    """The text classifier of classes in templates, and what a result tells of it; prints both.

    Args:
        model: CLIP.
        backbone: its name, for messages.
        classnames: C names; underscores are read as spaces.
        templates: with one `{}` each.

    Raises:
        InputError: text features that hold NaN or infinity.
    """
    prompts = [prompt for name in classnames for prompt in fill(templates, name)]
    print(f"Prompts: {prompts[:3]}{' ...' if len(prompts) > 3 else ''} ({len(prompts)} in all)")
    unknown = warn_of_unknown(model, backbone, prompts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unknown words are said above
        features = encode_texts(model, classnames, templates)
    weights = F.normalize(F.normalize(features, dim=-1).mean(1), dim=-1).cpu()
    if not torch.isfinite(weights).all():
        raise InputError(
            f"MODEL.BACKBONE.NAME: text features of '{backbone}' hold NaN or infinity; restore its weights"
        )
    text = TextClassifier(weights, float(model.logit_scale.exp()), features.mean(1).cpu())
    return text, Prompts(templates=tuple(templates), unknown_words=unknown)


def warn_of_unknown(model: Any, backbone: str, prompts: Sequence[str]) -> tuple[str, ...]:
    """The words of prompts that mean nothing to a backbone; prints them."""
    unknown = tuple(unknown_words(model, prompts))
    if unknown:
        print(f"Warning: words that mean nothing to backbone '{backbone}': {', '.join(unknown)}")
    return unknown
