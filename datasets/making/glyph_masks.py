"""Masks of characters: printed in the fonts that matplotlib ships, and drawn as by a pen."""

from __future__ import annotations

import functools
import os
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

_CANVAS = 48  # side of a mask, in pixels
_MIN_FONTS = 2  # a character that fewer fonts have is left out
_SERIF = _CANVAS // 6  # a serif's line is shorter than this, in pixels
Mask = npt.NDArray[np.float32]  # (48, 48), ink 1, paper 0

_FAMILIES = {  # the word a caption uses -> font files (without suffix)
    "sans": ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique", "cmss10"],
    "serif": ["DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic", "cmr10", "cmb10"],
    "mono": ["DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique", "cmtt10"],
    "roman": ["STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta", "cmti10"],
}
PEN = "pen"  # the word for masks that a pen draws along the centre line of a printed character

# Left out: capitals drawn like their small letters, letters drawn like another script's letter, and every round or
# upright letter that could pass for a digit.
_CHARACTERS = (
    "ABDEFGHJKLMNPQRTY"
    "abdefghijkmnpqrtuvwxyz"  # Latin
    "ΓΔΘΛΞΠΣΦΨΩ"
    "αβγδεζηθλμξπστφχψω"  # Greek
    "БДЖИЛЦЧШЩЪЫЭЮЯ"
    "бвджицчшщъыэюя"  # Cyrillic
    "ԱԲԳԴԵԶԸԹԺԻԼԽԾԿՁՂՃՄՅՇՉՋՌՍՎՏՐՑՓՔՖ"
    "աբգդզթժլխծկձմյշչջռվտցփքֆ"  # Armenian
    "აბგდევზთიკლმნპჟრსტუფქღყშჩცძწჭხჯჰ"  # Georgian
    "אבגדהזחטכלמנעפצקרשת"  # Hebrew
    "بتثجحخدذرزسشصضطظعغفقكلمنهوي"  # Arabic
    "!#$%&*+=?@<>/{}[]"  # signs
    "←↑→↓↔↕↖↗↘↙↺↻⇐⇒⇑⇓"  # arrows
    "∀∂∃∅∇∈∏∑√∞∠∧∩∪∫≈≠≡≤≥⊂⊃⊕⊗⊥"  # mathematics
    "■▲▶▼◀◆★☆☎☑☺☻☼♀♂♠♣♥♦♪♫♭♯⚐⚑⚓⚔⚖⚗⚙⚡✂✈✉✎✓✗✚✝✦❄❤➔☀☁☂☃☕☠☢☣☤☪☮☯"  # pictographs
)
DIGITS = "0123456789"


@dataclass(frozen=True)
class MaskBank:
    """Masks of characters, several a character: one for each font that has it, and its pen lines.

    Attributes:
        masks: (G, 48, 48) float32, ink 1, paper 0.
        labels: (G,) int64, index into `classnames`.
        families: G words, each sans, serif, mono, roman or pen.
        classnames: the character's Unicode name in lower case, for each class; the ten digits come first.
    """

    masks: torch.Tensor
    labels: torch.Tensor
    families: tuple[str, ...]
    classnames: tuple[str, ...]


def _fit(sheet: Image.Image) -> Mask:
    """Crop a grey image to its ink and centre it, so that its longer side takes 4/5 of the canvas."""
    sheet = sheet.crop(sheet.getbbox() or (0, 0, 1, 1))
    ratio = 0.8 * _CANVAS / max(sheet.size)
    size = max(1, round(sheet.width * ratio)), max(1, round(sheet.height * ratio))
    sheet = sheet.resize(size, Image.Resampling.LANCZOS)
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    canvas.paste(sheet, ((_CANVAS - sheet.width) // 2, (_CANVAS - sheet.height) // 2))
    return np.asarray(canvas, np.float32) / np.float32(255)


def _draw(font: ImageFont.FreeTypeFont, character: str) -> Mask:
    """A character printed in a font."""
    left, top, right, bottom = map(int, font.getbbox(character))
    sheet = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(sheet).text((-left, -top), character, font=font, fill=255)
    return _fit(sheet)


def _pen_lines(masks: npt.NDArray[np.float32]) -> list[list[Mask]]:
    """Pen drawings of printed characters (M, 48, 48), one or two for each of the M.

    The first is the character's centre line, drawn with a round pen. The second is drawn without the line's serifs,
    where more than 0.4 of the line is left then.
    """
    from scipy.ndimage import binary_dilation, convolve, gaussian_filter
    from skimage.morphology import skeletonize

    lines = np.stack([skeletonize(mask > 0.5) for mask in masks])
    plain, square = lines.copy(), np.ones((1, 3, 3), np.int8)
    for _ in range(_SERIF):  # each time, the ends of lines lose a pixel
        neighbours = convolve(plain.astype(np.int8), square, mode="constant") - plain
        plain &= neighbours > 1
    drawn = []
    for stack in (lines, plain):
        soft = gaussian_filter(binary_dilation(stack, square).astype(np.float32), (0, 0.7, 0.7))
        grey = (255 * np.clip(1.6 * soft, 0, 1)).astype(np.uint8)
        grey[grey < 16] = 0
        drawn.append(grey)
    two = plain.sum((1, 2)) > 0.4 * lines.sum((1, 2))
    return [[_fit(Image.fromarray(grey[i])) for grey in drawn[: 1 + two[i]]] for i in range(len(masks))]


@functools.cache
def mask_bank() -> MaskBank:
    """Masks of all characters; drawn once in a process, which takes some seconds."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    fonts = []
    for family, names in _FAMILIES.items():
        for name in names:
            path = os.path.join(get_data_path(), "fonts", "ttf", f"{name}.ttf")
            if not os.path.isfile(path):  # not every version of matplotlib has all of them
                continue
            known = set(map(chr, FT2Font(path).get_charmap()))
            if name.startswith("cm"):  # of Computer Modern, only letters and digits stand at their ASCII places
                known = {c for c in known if c.isascii() and c.isalnum()}
            fonts.append((family, ImageFont.truetype(path, 96), known))

    printed: list[tuple[Mask, int, str]] = []
    classnames: list[str] = []
    for character in DIGITS + _CHARACTERS:
        having = [(family, font) for family, font, known in fonts if character in known]
        if len(having) < _MIN_FONTS:
            continue
        printed += [(_draw(font, character), len(classnames), family) for family, font in having]
        classnames.append(unicodedata.name(character).lower())

    bank = []  # (mask, label, family), each printed character followed by its pen lines
    lines_of_each = _pen_lines(np.stack([mask for mask, _, _ in printed]))
    for (mask, label, family), lines in zip(printed, lines_of_each, strict=True):
        bank += [(mask, label, family), *((line, label, PEN) for line in lines)]
    masks, marks, words = zip(*bank, strict=True)
    return MaskBank(torch.from_numpy(np.stack(masks)), torch.tensor(marks), words, tuple(classnames))
