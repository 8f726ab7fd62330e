"""Pre-train `glyph`, the small CLIP that ships with the project, from a seed.

    python tools/pretrain_glyph.py --output glyph_run
    python tools/pretrain_glyph.py --output control_run --attribute-words 0

Contrastive training of the `clip` package's own CLIP class on drawn characters with captions; docs/GLYPH_CARD.md has
the data, the recipe and the results. Runs on one CPU thread or on an accelerator. The same command goes on from the
last checkpoint. The model never sees a handwritten image.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from clip import tokenize
from clip.model import CLIP
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from imo.datasets.making.glyph_masks import DIGITS, MaskBank, mask_bank
from imo.datasets.making.glyph_pictures import SIZE, draw_pictures
from imo.files import atomic_path

ARCHITECTURE = {
    "embed_dim": 128,
    "image_resolution": SIZE,
    "vision_layers": 4,
    "vision_width": 128,
    "vision_patch_size": 4,
    "context_length": 77,
    "vocab_size": 49408,
    "transformer_width": 64,
    "transformer_heads": 1,
    "transformer_layers": 2,
}
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Words(torch.nn.Module):
    """The token embedding, with rows for the tokens that captions use only; CLIP's own has 49,408 rows.

    Args:
        used: (V,) the tokens that captions use.
        width: of a row.
    """

    used: torch.Tensor
    row_of: torch.Tensor  # (49408,) the row of each used token

    def __init__(self, used: torch.Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("used", used)
        self.register_buffer("row_of", torch.zeros(ARCHITECTURE["vocab_size"], dtype=torch.long))
        self.row_of[used] = torch.arange(len(used))
        self.rows = torch.nn.Parameter(0.02 * torch.randn(len(used), width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return F.embedding(self.row_of[tokens], self.rows)


def captions_vocabulary(bank: MaskBank) -> torch.Tensor:
    """(V,) the tokens in captions of `bank`, sorted; found by drawing captions of each mask six times."""
    seen = torch.zeros(ARCHITECTURE["vocab_size"], dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    for indices in torch.arange(len(bank.masks)).repeat(3).split(512):
        for words in (0.5, 0.0):
            captions = draw_pictures(bank, indices, generator, words).captions
            seen[tokenize(list(captions)).unique()] = True
    return seen.nonzero()[:, 0]


def encode_captions(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """(B, 77) tokens -> (B, 128) features, as `CLIP.encode_text` gives them.

    It reads no further than the longest caption: attention is causal, so padding after it has no effect.
    """
    ends = tokens.argmax(-1)
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.transformer(x.permute(1, 0, 2)).permute(1, 0, 2)
    features: torch.Tensor = model.ln_final(x)[torch.arange(len(x)), ends] @ model.text_projection
    return features


def contrastive_loss(
    images: torch.Tensor, texts: torch.Tensor, tokens: torch.Tensor, logit_scale: torch.Tensor
) -> torch.Tensor:
    """Symmetric InfoNCE of images (B, d) and texts (B, d); the target is shared among equal captions.

    tokens: (B, 77), by which captions are compared.
    """
    logits = logit_scale.exp() * F.normalize(images.float()) @ F.normalize(texts.float()).T
    group = tokens.unique(dim=0, return_inverse=True)[1]
    same = (group[:, None] == group).float()
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def sampling_weights(bank: MaskBank, digit_share: float) -> torch.Tensor:
    """(G,) probabilities of drawing each mask.

    The digits together have `digit_share`, the other classes the rest; within either, each class has the same share,
    and within a class each mask.
    """
    per_class = torch.bincount(bank.labels).float()
    weights = 1 / per_class[bank.labels]
    digits = bank.labels < len(DIGITS)
    weights[digits] *= digit_share / weights[digits].sum()
    weights[~digits] *= (1 - digit_share) / weights[~digits].sum()
    return weights


def build(seed: int, bank: MaskBank) -> CLIP:
    """A CLIP of ARCHITECTURE with random weights."""
    torch.manual_seed(seed)
    model = CLIP(**ARCHITECTURE)
    model.token_embedding = Words(captions_vocabulary(bank), ARCHITECTURE["transformer_width"])
    return model.float()


def parameter_groups(model: CLIP, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: no weight decay on biases, norms and embeddings."""
    plain = [p for name, p in model.named_parameters() if p.ndim < 2 or "embedding" in name]
    decayed = [p for name, p in model.named_parameters() if not (p.ndim < 2 or "embedding" in name)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def export(model: CLIP, path: Path) -> None:
    """Write the model for `imo.load_clip`: in half precision, with token rows for the used tokens only."""
    state = {k: v.detach().cpu() for k, v in model.state_dict().items() if not k.startswith("token_embedding.")}
    state = {k: v.half().contiguous() for k, v in state.items()}
    state["token_embedding.rows"] = model.token_embedding.rows.detach().half().cpu().contiguous()
    state["token_embedding.tokens"] = model.token_embedding.used.int().cpu().contiguous()
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata={"vocab_size": str(ARCHITECTURE["vocab_size"])})


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """The rate of a step, counted from 0: a linear warm-up to `peak`, then a half cosine to zero."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for glyph.safetensors, log and checkpoint")
    parser.add_argument("--steps", type=int, default=7500)
    parser.add_argument("--until", type=int, help="stop at this step of the schedule; the next call goes on from there")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate of AdamW")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--attribute-words", type=float, default=0.5, help="chance of each attribute word (0: control)")
    parser.add_argument("--digit-share", type=float, default=0.2, help="share of pictures that show a digit")
    parser.add_argument("--checkpoint-every", type=int, default=250)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint, log = args.output / "checkpoint.pt", args.output / "log.txt"
    device = torch.device(args.device)
    bank = mask_bank()
    weights = sampling_weights(bank, args.digit_share)
    model = build(args.seed, bank).to(device)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.05), lr=args.lr, betas=(0.9, 0.98))
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
        print(f"Resuming from step {start}")

    began, running = time.time(), 0.0
    stop = min(args.until or args.steps, args.steps)
    for step in tqdm(range(start, stop), initial=start, total=stop, mininterval=10):
        generator = torch.Generator().manual_seed(args.seed * 10**9 + step)  # a resumed run draws the same pictures
        indices = torch.multinomial(weights, args.batch, replacement=True, generator=generator)
        pictures = draw_pictures(bank, indices, generator, args.attribute_words)
        tokens = tokenize(list(pictures.captions)).to(device)
        images = (pictures.images.to(device) - mean) / std
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args.steps, args.lr, warmup=150)
        # Fused attention is slower than plain products at 37 tokens on a CPU (measured: 0.87 s against 0.58 s a step).
        with sdpa_kernel(SDPBackend.MATH), torch.autocast(device.type, torch.bfloat16):
            loss = contrastive_loss(model.visual(images), encode_captions(model, tokens), tokens, model.logit_scale)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss is {loss.item()} at step {step}; lower --lr")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        model.logit_scale.data.clamp_(max=math.log(100))
        running = loss.item() if step == start else 0.98 * running + 0.02 * loss.item()
        last = step + 1 == stop
        if last or (step + 1) % args.checkpoint_every == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            with atomic_path(checkpoint) as temporary:
                torch.save(state, temporary)
            export(model, args.output / "glyph.safetensors")
            with log.open("a") as file:
                scale = model.logit_scale.exp().item()
                file.write(f"step {step + 1} loss {running:.4f} scale {scale:.1f} seconds {time.time() - began:.0f}\n")


if __name__ == "__main__":
    main()
