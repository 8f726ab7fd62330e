"""Prompts with learnt context vectors, as in CoOp and CoCoOp, and their text features.

Sources: Zhou et al., CoOp, IJCV 2022, https://arxiv.org/abs/2109.01134, and CoCoOp, CVPR 2022,
https://arxiv.org/abs/2203.05557. Parameters have the names that they have in the published checkpoints.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from imo.errors import InputError, reason
from imo.model.backbone import tokenize

POSITIONS = ("end", "middle", "front")  # where the class name stands in the context
_FIXED = ("token_prefix", "token_suffix")  # embeddings of fixed tokens and class names, in published checkpoints


def encode_prompts(model: nn.Module, prompts: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Text features of prompts that are given as token embeddings.

    Positions after the longest prompt's end token are not computed. The features are read at the end tokens and
    attention is causal, so the result is the same.

    Args:
        model: CLIP.
        prompts: (B, 77, width) token embeddings, without position embeddings.
        ends: (B,) int64 position of each prompt's end token.

    Returns:
        (B, d) of the model's dtype, not normalised, differentiable in `prompts`.
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
    """Within the block, the attention masks that CLIP's blocks hold are cut to a length."""
    masks = [block.attn_mask for block in blocks]
    for block, mask in zip(blocks, masks):
        block.attn_mask = mask[:length, :length]
    try:
        yield
    finally:
        for block, mask in zip(blocks, masks):
            block.attn_mask = mask


class PromptLearner(nn.Module):
    """CoOp's prompts "<context> <class name>.", of which the context vectors are learnt and the other tokens are fixed.

    Args:
        model: CLIP.
        classnames: C names; underscores are read as spaces.
        n_ctx: number of context vectors, drawn from N(0, 0.02^2).
        ctx_init: words whose token embeddings the context begins with; n_ctx and class_specific have no effect then.
        class_specific: whether each class has a context of its own.
        position: where the class name stands: at the "end", in the "middle" or at the "front" of the context.

    Attributes:
        ctx: (n_ctx, width) or, class-specific, (C, n_ctx, width); the parameter.
        ends: (C,) int64 position of each prompt's end token.
        words: `ctx_init`; empty for random vectors.
        initial: text of the context for people and for the tokenizer: `words`, or an X for each random vector.

    Raises:
        InputError: unknown position, no context vectors, a prompt longer than CLIP's 77 tokens, or a model of
            open_clip's.
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
        if words:  # one vector for each token; the published code takes one for each word and cuts off further tokens
            n_ctx = _length(words)
            first = embed(tokenize(words, truncate=True).to(device))[0, 1 : 1 + n_ctx].detach().to(dtype)
        else:
            if not 1 <= n_ctx <= 75:  # of CLIP's 77 tokens
                raise InputError(f"N_CTX: expected 1 to 75, got {n_ctx}")
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
        except RuntimeError as error:  # more than 77 tokens
            option, remedy = ("CTX_INIT", "shorten it") if words else ("N_CTX", "take fewer context vectors")
            raise InputError(f"{option}: {reason(error)}; {remedy}, or the class name") from error
        embedded = embed(tokens).detach().to(dtype)
        self.register_buffer("ends", tokens.argmax(dim=-1), persistent=False)  # the end token has the highest id
        self.register_buffer("token_prefix", embedded[:, :1], persistent=False)
        self.register_buffer("token_suffix", embedded[:, 1 + n_ctx :], persistent=False)

    def forward(self, shift: torch.Tensor | None = None) -> torch.Tensor:
        """Token embeddings (C, 77, width) of the prompts; `shift` (width,) is added to every context vector."""
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
        """Load a state, also of a published checkpoint. The embeddings of fixed tokens and class names in it are
        ignored, so that a context that all classes share can be used with other classes."""
        return super().load_state_dict({k: v for k, v in state_dict.items() if k not in _FIXED}, strict)


class ConditionalPromptLearner(PromptLearner):
    """CoCoOp's prompts: as CoOp's, with a small network that turns an image's feature into a shift of the context.

    Arguments, attributes and errors are those of `PromptLearner`.
    """

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
        """Shifts (B, width) of the context vectors for normalised image features (B, d)."""
        shifts: torch.Tensor = self.meta_net(features)
        return shifts


def _length(text: str) -> int:
    """Number of a text's tokens, without the start and end tokens; of a text that is too long, the most."""
    return int(tokenize(text, truncate=True)[0].argmax()) - 1
