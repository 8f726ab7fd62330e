"""Prompts with learnt context: CoOp's and CoCoOp's, and the text tower that reads them.

Sources: Zhou et al., CoOp, IJCV 2022, https://arxiv.org/abs/2109.01134, and CoCoOp, CVPR 2022,
https://arxiv.org/abs/2203.05557. Names of parameters are those of the published checkpoints.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from imo.errors import InputError
from imo.model.backbone import tokenize

POSITIONS = ("end", "middle", "front")  # of the class name, relative to the context
_FIXED = ("token_prefix", "token_suffix")  # in published checkpoints, with the class names of their data


def encode_prompts(model: nn.Module, prompts: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Text features of token embeddings.

    Attention is causal and the feature is read at the end token: positions behind the last end token are left out,
    which changes nothing and saves most of the work.

    Args:
        model: CLIP.
        prompts: (B, 77, width) embeddings without positions.
        ends: (B,) int64, where each prompt's end token stands.

    Returns:
        (B, d), not normalised, in the model's precision, differentiable in `prompts`.
    """
    clip: Any = model
    length = int(ends.max()) + 1
    hidden = prompts[:, :length].to(clip.dtype) + clip.positional_embedding[:length].to(clip.dtype)
    with _shortened_masks(clip.transformer.resblocks, length):  # CLIP's blocks take (length, B, width)
        hidden = clip.transformer(hidden.transpose(0, 1)).transpose(0, 1)
    hidden = clip.ln_final(hidden).to(clip.dtype)
    features: torch.Tensor = hidden[torch.arange(len(hidden), device=hidden.device), ends] @ clip.text_projection
    return features


@contextlib.contextmanager
def _shortened_masks(blocks: Any, length: int) -> Iterator[None]:
    """CLIP's blocks hold their attention masks, of the full length."""
    masks = [block.attn_mask for block in blocks]
    for block, mask in zip(blocks, masks):
        block.attn_mask = mask[:length, :length]
    try:
        yield
    finally:
        for block, mask in zip(blocks, masks):
            block.attn_mask = mask


class PromptLearner(nn.Module):
    """Context vectors among the fixed tokens of "<context> <class name>.".

    Args:
        model: CLIP.
        classnames: C names; underscores are read as spaces.
        n_ctx: number of context vectors, drawn from N(0, 0.02^2).
        ctx_init: words to begin with in place of n_ctx random vectors.
        class_specific: a context for each class; only for random ones, as published.
        position: where the class name stands: at the "end", in the "middle" or at the "front" of the context.

    Attributes:
        ctx: (n_ctx, width) or (C, n_ctx, width), the parameter.
        ends: (C,) where the end tokens stand.
        words: what the context began with; empty for random vectors, for which `initial` has an X each.

    Raises:
        InputError: unknown position, no context, a prompt longer than CLIP's 77 tokens, or a model of open_clip's.
    """

    ends: torch.Tensor

    def __init__(
        self,
        model: nn.Module,
        classnames: Sequence[str],
        n_ctx: int = 16,
        ctx_init: str = "",
        class_specific: bool = False,
        position: str = "end",
    ) -> None:
        super().__init__()
        if position not in POSITIONS:
            raise InputError(f"CLASS_TOKEN_POSITION: expected one of {', '.join(POSITIONS)}, got '{position}'")
        clip: Any = model
        tower = getattr(clip, "transformer", None)
        if tower is None or not all(hasattr(block, "attn_mask") for block in tower.resblocks):
            raise InputError(
                "learnt prompts go through the text tower of the package clip; open_clip's are not supported"
            )
        embed = clip.token_embedding
        device, dtype = embed.weight.device, clip.dtype
        words = ctx_init.replace("_", " ").strip()
        if words:  # as many vectors as tokens; the published code counts words and cuts off what has more tokens
            n_ctx = _length(words)
            first = embed(tokenize(words).to(device))[0, 1 : 1 + n_ctx].detach().to(dtype)
        else:
            if n_ctx < 1:
                raise InputError(f"N_CTX: expected at least 1, got {n_ctx}")
            shape = (len(classnames), n_ctx) if class_specific else (n_ctx,)
            first = torch.empty(*shape, embed.weight.shape[1], device=device, dtype=dtype)
            nn.init.normal_(first, std=0.02)
        self.ctx = nn.Parameter(first.clone())
        self.words = words
        self.initial = words or " ".join(["X"] * n_ctx)
        self.n_ctx, self.position = n_ctx, position
        names = [name.replace("_", " ") for name in classnames]
        self.name_lengths = [_length(name) for name in names]
        try:
            tokens = tokenize([f"{self.initial} {name}." for name in names]).to(device)
        except RuntimeError as error:  # longer than the context
            raise InputError(f"N_CTX: {error}; take fewer context vectors") from error
        embedded = embed(tokens).detach().to(dtype)
        self.register_buffer("ends", tokens.argmax(dim=-1), persistent=False)  # the end token has the highest number
        self.register_buffer("token_prefix", embedded[:, :1], persistent=False)
        self.register_buffer("token_suffix", embedded[:, 1 + n_ctx :], persistent=False)

    def forward(self, shift: torch.Tensor | None = None) -> torch.Tensor:
        """(C, 77, width) embedded prompts; `shift` (width,) is added to every context vector."""
        context = self.ctx if shift is None else self.ctx + shift
        prefix: Any = self.token_prefix
        suffix: Any = self.token_suffix
        context = context.expand(len(suffix), -1, -1)
        if self.position == "end":
            return torch.cat([prefix, context, suffix], dim=1)
        before = self.n_ctx // 2 if self.position == "middle" else 0
        rows = [
            torch.cat([start, vectors[:before], rest[:length], vectors[before:], rest[length:]])
            for start, vectors, rest, length in zip(prefix, context, suffix, self.name_lengths)
        ]
        return torch.stack(rows)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Takes published checkpoints too; the fixed tokens of their classes are left out, so that a generic context
        goes with any classes."""
        return super().load_state_dict({k: v for k, v in state_dict.items() if k not in _FIXED}, strict)


class ConditionalPromptLearner(PromptLearner):
    """CoCoOp's: a small network turns an image's feature into a shift of the context."""

    def __init__(self, model: nn.Module, classnames: Sequence[str], n_ctx: int = 4, ctx_init: str = "") -> None:
        super().__init__(model, classnames, n_ctx, ctx_init)
        clip: Any = model
        size = clip.visual.output_dim
        self.meta_net = nn.Sequential()
        self.meta_net.add_module("linear1", nn.Linear(size, max(size // 16, 1)))
        self.meta_net.add_module("relu", nn.ReLU(inplace=True))
        self.meta_net.add_module("linear2", nn.Linear(max(size // 16, 1), self.ctx.shape[-1]))
        self.meta_net.to(self.ctx)

    def shifts(self, features: torch.Tensor) -> torch.Tensor:
        """(B, width) shifts for (B, d) normalised image features."""
        shifts: torch.Tensor = self.meta_net(features)
        return shifts


def _length(text: str) -> int:
    """Number of tokens between start and end."""
    return int(tokenize(text)[0].argmax()) - 1
