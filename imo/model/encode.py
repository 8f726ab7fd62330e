"""Features of images, with and without adapters, and of class names."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from imo.checks import check_floating, check_kind
from imo.errors import InputError, reason
from imo.model.adapter import adapters_switched, check_clip
from imo.model.backbone import tokenize, unknown_words
from imo.pieces import ENCODED, in_pieces

LONGEST = 77 * 32  # characters of a template or a class name: no text that CLIP takes has more tokens, or longer ones


def encode_images(model: nn.Module, images: torch.Tensor, corrected: bool = False) -> torch.Tensor:
    """Image features, not normalised. Those of an image are the same to the last bit whatever images stand beside it.

    Args:
        model: CLIP; for corrected features, with adapters.
        images: (B, 3, H, W) floating, preprocessed as `load_clip` says; pixels of 0 to 255 are not.
        corrected: whether the adapters are on (the paper's VEimo) or off (the original CLIP).

    Returns:
        (B, d) float32, on the model's device.

    Raises:
        InputError: wrong shape or dtype, NaN or infinity, or no adapters to switch on.
    """
    check_clip(model)
    check_kind("corrected", corrected, bool)
    visual: Any = model.visual
    side = visual.input_resolution
    check_floating("images", images, "a floating tensor, made by the preprocessing that load_clip returns")
    if images.shape[1:] != (3, side, side) or not len(images):
        got = tuple(images.shape)
        raise InputError(f"images: expected shape (B, 3, {side}, {side}) and at least one, got {got}")
    if not torch.isfinite(images).all():
        raise InputError("images: hold NaN or infinity")
    return forward_images(model, images, corrected)


def forward_images(
    model: nn.Module, images: torch.Tensor, corrected: bool = False, autocast: torch.dtype | None = None
) -> torch.Tensor:
    """As `encode_images`, but without the checks of the images: on a GPU these wait until each batch is done.

    Args:
        autocast: dtype of matrix products; None for that of the weights.
    """
    visual: Any = model.visual
    device = visual.conv1.weight.device
    with adapters_switched(model, corrected), torch.autocast(device.type, autocast, autocast is not None):
        return in_pieces(lambda part: forward_whole(model, part), images, ENCODED)


@torch.no_grad()
def forward_whole(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Features (B, d) float32 of a batch as it is, which are rounded as its size has it. Adapters stay on or off."""
    visual: Any = model.visual
    weight = visual.conv1.weight
    features: torch.Tensor = visual(images.to(weight.device, weight.dtype, non_blocking=True))
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


def text_classifier(model: nn.Module, classnames: Iterable[str], templates: str | Iterable[str]) -> torch.Tensor:
    """Zero-shot classifier: for each class the mean of its normalised text features over templates, normalised.

    Args:
        model: CLIP.
        classnames: C names; underscores are read as spaces.
        templates: one or several texts, each with one `{}` where the class name goes.

    Returns:
        (C, d) float32, normalised rows.

    Raises:
        InputError: no names, no templates, a template without `{}`, two names of equal prompts, a prompt that is too
            long, or other objects than texts.
    """
    names, seen = _texts("classnames", classnames), dict[str, str]()
    for name in names:
        prompt = " ".join(name.replace("_", " ").lower().split())  # as CLIP's tokenizer reads it
        if prompt in seen:
            raise InputError(f"classnames: '{seen[prompt]}' and '{name}' give equal prompts; rename one of the classes")
        seen[prompt] = name
    return mean_direction(encode_texts(model, names, templates))


def mean_direction(features: torch.Tensor) -> torch.Tensor:
    """The classifier (C, d) of text features (C, T, d): means over templates of normalised features, normalised."""
    return F.normalize(F.normalize(features, dim=-1).mean(dim=1), dim=-1)


def prompts_of(classnames: Sequence[str], templates: Sequence[str]) -> list[str]:
    """The C x T prompts of C class names in T templates, those of a class together.

    Raises:
        InputError: no names, no templates, a template with other braces than one `{}`, or a text that no backbone
            takes for its length.
    """
    if not classnames or not templates:
        raise InputError(f"expected class names and templates, got {len(classnames)} names, {len(templates)} templates")
    for template in templates:
        if (template.count("{}"), template.count("{"), template.count("}")) != (1, 1, 1):
            raise InputError(
                f"templates: expected one '{{}}' where the class name goes, and no other braces, got '{template[:100]}'"
            )
    for text in (*templates, *classnames):
        if len(text) > LONGEST:
            raise InputError(f"templates: '{text[:100]}...' has {len(text):,} characters; shorten it")
    return [template.replace("{}", name.replace("_", " ")) for name in classnames for template in templates]


@torch.no_grad()
def encode_texts(model: nn.Module, classnames: Iterable[str], templates: str | Iterable[str]) -> torch.Tensor:
    """Text features (C, T, d) of C classes in T templates, float32, not normalised. Those of a text are the same to the
    last bit whatever texts stand beside it.

    Arguments and errors are those of `text_classifier`, but that two classes may have equal prompts (some of ImageNet's
    have). Words that the model does not know give a warning.
    """
    check_clip(model)
    names = _texts("classnames", classnames)
    templates = [templates] if isinstance(templates, str) else _texts("templates", templates)
    prompts = prompts_of(names, templates)
    unknown = unknown_words(model, prompts)
    if unknown:
        warnings.warn(f"prompt words without meaning to this backbone: {', '.join(unknown)}", stacklevel=3)
    encode_text: Any = model.encode_text
    tokens = _tokens(getattr(model, "tokenize", tokenize), prompts).to(next(model.parameters()).device)
    return in_pieces(encode_text, tokens, ENCODED).float().view(len(names), len(templates), -1)


def _texts(name: str, values: Iterable[str]) -> list[str]:
    """The texts that an argument gives, at least one. (A set has no order, which the rows of a result need.)"""
    try:
        texts = [] if isinstance(values, str | set | frozenset) else list(values)
    except TypeError:  # nothing that can be gone through
        texts = []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{name}: expected a list of at least one str, got {values!r}")
    return texts


def _tokens(to_tokens: Any, prompts: Sequence[str]) -> torch.Tensor:
    try:
        tokens: torch.Tensor = to_tokens(list(prompts))
    except RuntimeError as error:  # more tokens than the model takes
        raise InputError(f"templates: {reason(error)}; shorten the template or the class name") from error
    return tokens
