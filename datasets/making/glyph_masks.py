"""Masks of printed characters, from the fonts that matplotlib ships, and as a pen would draw them."""

import functools
import os
import unicodedata
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

_CANVAS = 48  # side of a mask
_MIN_FONTS = 2  # a character that fewer fonts know is left out

_FAMILIES = {  # the word a caption uses -> font files (without suffix)
    "sans": ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique", "cmss10"],
    "serif": ["DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic", "cmr10", "cmb10"],
    "mono": ["DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique", "cmtt10"],
    "roman": ["STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta", "cmti10"],
}
PEN = "pen"  # the word for masks reduced to their centre line, as a pen would draw them

# Twins are dropped: capitals drawn like their small letters, letters drawn like another script's
# letter, and every round or upright letter that could pass for a digit.
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
    """Character masks, each drawn by one font or as one pen line.

    Attributes:
        masks: (G, 48, 48) float32, ink 1, paper 0.
        labels: (G,) int64, index into `classnames`; the ten digits come first.
        families: G words, one of sans, serif, mono, roman, pen.
        classnames: one per class, from the Unicode standard, lower case.
    """

    masks: torch.Tensor
    labels: torch.Tensor
    families: tuple[str, ...]
    classnames: tuple[str, ...]


def _font_path(name: str) -> str:
    import matplotlib

    return os.path.join(matplotlib.get_data_path(), "fonts", "ttf", name + ".ttf")


def _fit(sheet: Image.Image) -> np.ndarray:
    """Crop to the ink and centre it, its longer side 4/5 of the canvas. (48, 48) float32 in 0..1."""
    sheet = sheet.crop(sheet.getbbox() or (0, 0, 1, 1))
    ratio = 0.8 * _CANVAS / max(sheet.size)
    sheet = sheet.resize([max(1, round(side * ratio)) for side in sheet.size], Image.Resampling.LANCZOS)
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    canvas.paste(sheet, ((_CANVAS - sheet.width) // 2, (_CANVAS - sheet.height) // 2))
    return np.asarray(canvas, np.float32) / 255


def _draw(font: ImageFont.FreeTypeFont, character: str) -> np.ndarray:
    left, top, right, bottom = font.getbbox(character)
    sheet = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(sheet).text((-left, -top), character, font=font, fill=255)
    return _fit(sheet)


def _pen_lines(mask: np.ndarray) -> list[np.ndarray]:
    """The mask's centre line drawn with a round pen; and once more without its serifs, if enough is left."""
    from scipy.ndimage import binary_dilation, convolve, gaussian_filter
    from skimage.morphology import skeletonize

    line = skeletonize(mask > 0.5)
    plain = line.copy()
    for _ in range(_CANVAS // 6):  # a serif is shorter than this many pixels
        neighbours = convolve(plain.astype(np.int8), np.ones((3, 3), np.int8), mode="constant") - plain
        plain = plain & (neighbours > 1)
    drawn = []
    for kept in [line, plain] if plain.sum() > 0.4 * line.sum() else [line]:
        soft = gaussian_filter(binary_dilation(kept, np.ones((3, 3), bool)).astype(np.float32), 0.7)
        sheet = Image.fromarray(np.uint8(255 * np.clip(1.6 * soft, 0, 1)))
        drawn.append(_fit(sheet.point([0 if v < 16 else v for v in range(256)])))
    return drawn


@functools.cache
def mask_bank() -> MaskBank:
    """Draw every character in every font that has it, and as a pen line."""
    from matplotlib.ft2font import FT2Font

    fonts = []
    for family, names in _FAMILIES.items():
        for name in names:
            path = _font_path(name)
            if not os.path.isfile(path):  # not every version of matplotlib has all of them
                continue
            known = set(map(chr, FT2Font(path).get_charmap()))
            if name.startswith("cm"):  # Computer Modern keeps letters and digits, not signs, at their ASCII places
                known = {c for c in known if c.isascii() and c.isalnum()}
            fonts.append((family, ImageFont.truetype(path, 96), known))

    masks, labels, families, classnames = [], [], [], []
    for character in DIGITS + _CHARACTERS:
        having = [(family, font) for family, font, known in fonts if character in known]
        if len(having) < _MIN_FONTS:
            continue
        for family, font in having:
            mask = _draw(font, character)
            lines = _pen_lines(mask)
            masks += [mask, *lines]
            labels += [len(classnames)] * (1 + len(lines))
            families += [family, *[PEN] * len(lines)]
        classnames.append(unicodedata.name(character).lower())
    return MaskBank(torch.from_numpy(np.stack(masks)), torch.tensor(labels), tuple(families), tuple(classnames))
