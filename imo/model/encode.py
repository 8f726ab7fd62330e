"""Features of images, with and without adapters, and of class names."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from imo.errors import InputError, reason
from imo.model.adapter import adapters_switched
from imo.model.backbone import tokenize, unknown_words


def encode_images(model: nn.Module, images: torch.Tensor, corrected: bool = False) -> torch.Tensor:
    """Image features, not normalised.

    Args:
        model: CLIP; for corrected features, with adapters.
        images: (B, 3, H, W), preprocessed.
        corrected: whether the adapters are on (the paper's VEimo) or off (the original CLIP).

    Returns:
        (B, d) float32, on the model's device.

    Raises:
        InputError: wrong shape, NaN or infinity, or no adapters to switch on.
    """
    visual: Any = model.visual
    side = visual.input_resolution
    if not torch.is_tensor(images) or images.shape[1:] != (3, side, side) or not len(images):
        got = tuple(images.shape) if torch.is_tensor(images) else type(images).__name__
        raise InputError(f"images: expected shape (B, 3, {side}, {side}) and at least one, got {got}")
    if not torch.isfinite(images).all():
        raise InputError("images: hold NaN or infinity")
    return forward_images(model, images, corrected)


@torch.no_grad()
def forward_images(
    model: nn.Module, images: torch.Tensor, corrected: bool = False, autocast: torch.dtype | None = None
) -> torch.Tensor:
    """As `encode_images`, but without the checks of the images: on a GPU these wait until each batch is done.

    Args:
        autocast: dtype of matrix products; None for that of the weights.
    """
    visual: Any = model.visual
    weight = visual.conv1.weight
    images = images.to(weight.device, weight.dtype, non_blocking=True)
    with adapters_switched(model, corrected), torch.autocast(weight.device.type, autocast, autocast is not None):
        features: torch.Tensor = visual(images)
    return features.float()


def in_blocks(
    batches: Iterable[Mapping[str, torch.Tensor]], rows: int = 8192, seconds: float = 30
) -> Iterator[dict[str, torch.Tensor]]:
    """Join consecutive batches to larger blocks, to be written to disk one by one.

    Args:
        batches: each {name: (n, d) rows}, on any device; the same names in all.
        rows: a block ends when it has so many rows,
        seconds: or when so many seconds have passed since its first batch.

    Yields:
        {name: (m, d) float32}, on the CPU. After Ctrl-C the block that was begun comes first, then KeyboardInterrupt.
    """
    block: list[Mapping[str, torch.Tensor]] = []
    begun = time.monotonic()
    try:
        for batch in batches:
            block.append(batch)
            count = sum(len(next(iter(part.values()))) for part in block)
            if count >= rows or time.monotonic() - begun >= seconds:
                yield _joined(block)
                block, begun = [], time.monotonic()
    except KeyboardInterrupt:
        if block:  # what is there by then is kept
            yield _joined(block)
        raise
    if block:
        yield _joined(block)


def _joined(block: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([part[name] for part in block]).float().cpu() for name in block[0]}


def text_classifier(
    model: nn.Module, classnames: Sequence[str], templates: str | Sequence[str], batch_size: int = 256
) -> torch.Tensor:
    """Zero-shot classifier: for each class the mean of its normalised text features over templates, normalised.

    Args:
        model: CLIP.
        classnames: C names; underscores are read as spaces.
        templates: one or several texts, each with one `{}` where the class name goes.
        batch_size: prompts per forward pass.

    Returns:
        (C, d) float32, normalised rows.

    Raises:
        InputError: no names, no templates, a template without `{}`, or a prompt that is too long.
    """
    features = F.normalize(encode_texts(model, classnames, templates, batch_size), dim=-1)
    return F.normalize(features.mean(dim=1), dim=-1)


def fill(templates: Iterable[str], classname: str) -> list[str]:
    """Each template with a class name in it, whose underscores are read as spaces.

    Raises:
        InputError: a template has not one `{}`, or other braces.
    """
    filled = []
    for template in templates:
        before, found, after = str(template).partition("{}")
        if not found or {*before, *after} & {*"{}"}:
            raise InputError(f"templates: expected one '{{}}' where the class name goes, got '{template}'")
        filled.append(before + classname.replace("_", " ") + after)
    return filled


@torch.no_grad()
def encode_texts(
    model: nn.Module, classnames: Sequence[str], templates: str | Sequence[str], batch_size: int = 256
) -> torch.Tensor:
    """Text features (C, T, d) of C classes in T templates, float32, not normalised.

    Arguments and errors are those of `text_classifier`. Words that the model does not know give a warning.
    """
    templates = [templates] if isinstance(templates, str) else list(templates)
    if not classnames or not templates:
        raise InputError(f"expected class names and templates, got {len(classnames)} names, {len(templates)} templates")
    prompts = [prompt for name in classnames for prompt in fill(templates, name)]
    unknown = unknown_words(model, prompts)
    if unknown:
        warnings.warn(f"prompt words without meaning to this backbone: {', '.join(unknown)}", stacklevel=3)
    encode_text: Any = model.encode_text
    to_tokens = getattr(model, "tokenize", tokenize)
    device = next(model.parameters()).device
    features = [
        encode_text(_tokens(to_tokens, prompts[i : i + batch_size]).to(device)).float()
        for i in range(0, len(prompts), batch_size)
    ]
    return torch.cat(features).view(len(classnames), len(templates), -1)


def _tokens(to_tokens: Any, prompts: Sequence[str]) -> torch.Tensor:
    try:
        tokens: torch.Tensor = to_tokens(list(prompts))
    except RuntimeError as error:  # more tokens than the model takes
        raise InputError(f"templates: {reason(error)}; shorten the template or the class name") from error
    return tokens
