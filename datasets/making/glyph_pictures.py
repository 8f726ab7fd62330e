"""Small colour pictures of characters, augmented at random, with captions.

Used twice: `tools/pretrain_glyph.py` pre-trains the small CLIP called `glyph` on pictures and captions, and the dataset
`Glyphs` (without digits) is the generic labelled set that its adapters are trained on.

All randomness comes from the `torch.Generator` that is passed in. Throughout, B is the number of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from imo.datasets.making.glyph_masks import PEN, MaskBank

SIZE = 24  # side of a finished picture, in pixels
_WORK = 36  # side at which strokes are thickened and blurred

COLOURS = {
    "black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "red": (220, 30, 30),
    "green": (30, 150, 50), "blue": (40, 70, 220), "yellow": (245, 220, 40), "orange": (245, 140, 20),
    "purple": (130, 40, 160), "pink": (250, 150, 190), "brown": (120, 75, 35), "cyan": (60, 210, 220),
}  # fmt: skip

NEUTRAL_TEMPLATES = (
    "a photo of a {}.", "a picture of a {}.", "an image of a {}.", "a drawing of a {}.", "a {}.", "one {}.",
)  # fmt: skip
PEN_TEMPLATE, PRINT_TEMPLATE = "a handwritten {}.", "a printed {}."


@dataclass(frozen=True)
class Pictures:
    """A batch of pictures.

    Attributes:
        images: (B, 3, 24, 24) float32 RGB in 0..1.
        labels: (B,) int64.
        captions: B sentences.
    """

    images: torch.Tensor
    labels: torch.Tensor
    captions: tuple[str, ...]


class _Dice:
    """Random numbers for a batch, all from one generator: (B,) or (B, *shape), one row a picture."""

    def __init__(self, batch: int, generator: torch.Generator) -> None:
        self.batch, self.generator = batch, generator

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(self.batch, *shape, generator=self.generator)

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(self.batch, *shape, generator=self.generator)

    def chance(self, probability: float) -> torch.Tensor:
        return torch.rand(self.batch, generator=self.generator) < probability

    def choice(self, size: int) -> torch.Tensor:
        return torch.randint(size, (self.batch,), generator=self.generator)


def draw_pictures(
    bank: MaskBank, indices: torch.Tensor, generator: torch.Generator, attribute_words: float = 0.5
) -> Pictures:
    """Draw the masks at `indices` as pictures, with captions.

    Args:
        bank: the masks.
        indices: (B,) int64 positions in `bank.masks`.
        generator: the only source of randomness.
        attribute_words: probability, for each attribute (colour, font, thickness, ...), that a caption names it; with
            0, captions name the class alone.
    """
    dice = _Dice(len(indices), generator)
    pen = torch.tensor([bank.families[i] == PEN for i in indices.tolist()])

    angle = torch.where(dice.chance(0.6), dice.uniform(-0.15, 0.15), dice.uniform(-0.6, 0.6))
    fill = dice.uniform(0.5, 1.0)  # share of the frame that the longer side takes
    ink = _warp(bank.masks[indices], angle, fill, dice)
    ink, stroke = _thicken(ink, pen, dice)
    blur = torch.where(dice.chance(0.5), dice.uniform(0.0, 0.3), dice.uniform(0.5, 1.3))
    ink = _blur(ink, blur)
    ink, coarse = _lower_resolution(ink, generator)
    images, ink_names, paper_names = _colour(ink, dice)
    noise = torch.where(dice.chance(0.75), dice.uniform(0.0, 0.03), dice.uniform(0.06, 0.16))
    images = (images + noise[:, None, None, None] * dice.normal(3, SIZE, SIZE)).clamp_(0, 1)

    said = torch.rand(len(indices), 9, generator=generator) < attribute_words
    template, coin = torch.rand(len(indices), generator=generator), dice.chance(0.5)
    captions = []
    for b, mask in enumerate(indices.tolist()):
        family = bank.families[mask]
        before = [
            "blurry" if blur[b] > 0.5 else "sharp",
            "noisy" if noise[b] > 0.05 else "clean",
            "small" if fill[b] < 0.65 else "large" if fill[b] > 0.85 else "",
            "thick" if stroke[b] > 0.35 else "thin" if stroke[b] < -0.35 else "",
            ink_names[b],
        ]
        after = [
            "tilted left" if angle[b] > 0.2 else "tilted right" if angle[b] < -0.2 else "upright",
            f"on {paper_names[b]}",
            f"in {family}",
            "pixelated" if coarse[b] else "",
        ]
        words = [w for w, s in zip(before, said[b, :5].tolist()) if s and w]
        words.append(bank.classnames[bank.labels[mask]])
        words += [w for w, s in zip(after, said[b, 5:].tolist()) if s and w]
        # Without attribute words, "handwritten" or "printed" is a coin toss, so that no caption tells the style.
        handwritten = family == PEN if attribute_words > 0 else bool(coin[b])
        choices = (*NEUTRAL_TEMPLATES, *[PEN_TEMPLATE if handwritten else PRINT_TEMPLATE] * 2)
        captions.append(choices[int(template[b] * len(choices))].format(" ".join(words)))
    return Pictures(images, bank.labels[indices], tuple(captions))


def _warp(masks: torch.Tensor, angle: torch.Tensor, fill: torch.Tensor, dice: _Dice) -> torch.Tensor:
    """Rotate, shear, scale, stretch, shift and bend masks: (B, 48, 48) -> (B, 36, 36).

    Args:
        masks: amounts of ink in 0..1.
        angle: (B,) radians.
        fill: (B,) shares of the frame that the character's longer side takes.
        dice: the source of all else.
    """
    batch = len(masks)
    shear = dice.uniform(-0.35, 0.35)
    stretch = dice.uniform(-0.3, 0.3).exp()
    slack = (1 - fill) / fill
    shift = dice.uniform(-1.0, 1.0, 2) * slack[:, None] * 0.7
    cos, sin = angle.cos(), angle.sin()
    # The grid maps output to input: the mask's longer side spans 0.8 of its canvas.
    zoom = 0.8 / fill
    horizontal = torch.stack([cos, sin + shear * cos, shift[:, 0]], 1) * torch.tensor([1.0, 1.0, 0.8])
    vertical = torch.stack([-sin, cos - shear * sin, shift[:, 1]], 1) * torch.tensor([1.0, 1.0, 0.8])
    horizontal[:, :2] *= (zoom * stretch.clamp(min=1.0))[:, None]
    vertical[:, :2] *= (zoom / stretch.clamp(max=1.0))[:, None]
    grid = F.affine_grid(torch.stack([horizontal, vertical], 1), [batch, 1, _WORK, _WORK], align_corners=False)
    bend = torch.where(dice.chance(0.7), dice.uniform(0.02, 0.09), torch.zeros(batch))
    field = F.interpolate(dice.normal(2, 5, 5), size=(_WORK, _WORK), mode="bicubic", align_corners=True)
    grid = grid + (bend * zoom)[:, None, None, None] * field.permute(0, 2, 3, 1)
    return F.grid_sample(masks[:, None], grid, align_corners=False)[:, 0]


def _thicken(ink: torch.Tensor, pen: torch.Tensor, dice: _Dice) -> tuple[torch.Tensor, torch.Tensor]:
    """Grow or wear the strokes of (B, 36, 36) ink by up to about two pixels; where `pen` is true they hardly wear.

    Returns:
        (B, 36, 36) ink, and (B,) how thick strokes are against others of their kind, positive for thick.
    """
    amount = torch.where(pen, dice.uniform(-0.1, 2.0), dice.uniform(-0.9, 0.9))
    padded = ink[:, None]
    grown = F.max_pool2d(padded, 3, 1, 1)
    grown_twice = F.max_pool2d(grown, 3, 1, 1)
    worn = -F.max_pool2d(-padded, 3, 1, 1)
    weight = amount[:, None, None, None]
    out = torch.where(weight > 1, torch.lerp(grown, grown_twice, (weight - 1).clamp(0, 1)), padded)
    out = torch.where((weight > 0) & (weight <= 1), torch.lerp(padded, grown, weight.clamp(0, 1)), out)
    out = torch.where(weight < 0, torch.lerp(padded, worn, -weight.clamp(-1, 0)), out)
    return out[:, 0], torch.where(pen, amount - 0.95, amount)


def _blur(ink: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur (B, 36, 36) ink by Gaussians of standard deviation `sigma` (B,), in pixels: two grouped 1-D convolutions."""
    offsets = torch.arange(-3.0, 4.0)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp(min=0.05)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    batch = len(ink)
    out = F.conv2d(ink[None], kernel[:, None, :, None], padding=(3, 0), groups=batch)
    return F.conv2d(out, kernel[:, None, None, :], padding=(0, 3), groups=batch)[0]


def _lower_resolution(ink: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Shrink (B, 36, 36) ink to (B, 24, 24).

    The batch is taken in eighths. An eighth goes through a lower resolution of 7 to 14 pixels with probability 0.4.

    Returns:
        The ink, and (B,) bool, whether a picture went through a lower resolution.
    """
    parts, coarse = [], []
    for part in ink.split(max(1, len(ink) // 8)):
        if torch.rand((), generator=generator) < 0.4:
            side = int(torch.randint(7, 15, (), generator=generator))
            part = F.interpolate(part[:, None], size=(side, side), mode="area")
            mode = "bicubic" if torch.rand((), generator=generator) < 0.7 else "nearest"
            part = F.interpolate(part, size=(SIZE, SIZE), mode=mode)[:, 0].clamp(0, 1)
            coarse += [True] * len(part)
        else:
            part = F.interpolate(part[:, None], size=(SIZE, SIZE), mode="area")[:, 0]
            coarse += [False] * len(part)
        parts.append(part)
    return torch.cat(parts), torch.tensor(coarse)


def _colour(ink: torch.Tensor, dice: _Dice) -> tuple[torch.Tensor, list[str], list[str]]:
    """Paint (B, 24, 24) ink in one named colour on paper of another, each varied a little; 30 % in black and white.

    Returns:
        (B, 3, 24, 24) RGB in 0..1, the B names of the inks and of the papers.
    """
    names, values = list(COLOURS), torch.tensor(list(COLOURS.values())) / 255
    ink_index = dice.choice(len(names))
    paper_index = (ink_index + 1 + dice.choice(len(names) - 1)) % len(names)
    plain, white_on_black = dice.chance(0.3), dice.chance(0.5)
    ink_index = torch.where(plain, white_on_black.long(), ink_index)
    paper_index = torch.where(plain, 1 - white_on_black.long(), paper_index)
    shake = torch.where(plain, 0.02, 0.08)[:, None]
    ink_rgb = (values[ink_index] + shake * dice.normal(3)).clamp(0, 1)
    paper_rgb = (values[paper_index] + shake * dice.normal(3)).clamp(0, 1)
    images = torch.lerp(paper_rgb[:, :, None, None], ink_rgb[:, :, None, None], ink[:, None])
    return images, [names[i] for i in ink_index.tolist()], [names[i] for i in paper_index.tolist()]
