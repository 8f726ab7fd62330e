import json
import unicodedata
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from dassl.config import get_cfg_default
from PIL import Image

from imo import datasets
from imo.datasets import glyphs
from imo.datasets.making import glyph_masks as _glyph_masks
from imo.datasets.making import glyph_pictures as _glyph_pictures

MISSING = [package for package in ("matplotlib", "skimage", "scipy") if find_spec(package) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"glyphs are drawn with {', '.join(MISSING)}")

ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LOOK_ALIKES = {  # in the scripts at hand, after Unicode's confusables.txt
    "0": "OoΟοОоՕօסഠ०◦○●°",
    "1": "Il|ΙІӀוןا∣ǀ",
    "3": "ЗзӠӡƷʒ",
}


@pytest.fixture(scope="module")
def bank():
    return _glyph_masks.mask_bank()


def draw(bank, count=64, seed=0, **options):
    indices = torch.arange(count) * len(bank.masks) // count
    return indices, _glyph_pictures.draw_pictures(bank, indices, torch.Generator().manual_seed(seed), **options)


def test_masks_show_ink_on_paper(bank):
    assert bank.masks.shape[1:] == (48, 48)
    assert bank.masks.dtype == torch.float32
    assert bank.masks.min() >= 0
    assert (bank.masks.flatten(1).amax(1) > 0.5).all()
    assert not bank.masks[:, [0, -1]].any()
    assert not bank.masks[:, :, [0, -1]].any()


def test_every_class_has_masks_of_two_fonts_and_of_a_pen(bank):
    assert len(bank.masks) == len(bank.labels) == len(bank.families)
    for label in range(len(bank.classnames)):
        families = Counter(f for f, known in zip(bank.families, bank.labels.tolist()) if known == label)
        pens = families.pop("pen")
        assert pens >= sum(families.values()) >= 2
        assert set(families) <= {"sans", "serif", "mono", "roman"}


def test_the_ten_digits_come_first_and_names_are_unicode_s(bank):
    assert list(bank.classnames[:10]) == [f"digit {name}" for name in ENGLISH]
    assert len(set(bank.classnames)) == len(bank.classnames) > 200
    for name in bank.classnames:
        assert unicodedata.name(unicodedata.lookup(name)).lower() == name


def test_no_other_class_is_a_digit_or_looks_like_one(bank):
    for name in bank.classnames[10:]:
        character = unicodedata.lookup(name)
        assert unicodedata.numeric(character, None) is None, name
        assert character not in "".join(LOOK_ALIKES.values()), name
        assert "digit" not in name.split()


def test_pictures_are_in_range_and_carry_their_classes(bank):
    indices, pictures = draw(bank)
    assert pictures.images.shape == (64, 3, 24, 24)
    assert pictures.images.dtype == torch.float32
    assert 0 <= pictures.images.min() < pictures.images.max() <= 1
    assert torch.equal(pictures.labels, bank.labels[indices])
    assert all(bank.classnames[label] in text for label, text in zip(pictures.labels.tolist(), pictures.captions))


def test_the_generator_decides_the_pictures_alone(bank):
    torch.manual_seed(0)
    _, first = draw(bank, seed=3)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    _, again = draw(bank, seed=3)
    _, other = draw(bank, seed=4)
    assert torch.equal(first.images, again.images)
    assert first.captions == again.captions
    assert not torch.equal(first.images, other.images)
    assert first.captions != other.captions
    torch.manual_seed(0)
    assert torch.equal(state, torch.get_rng_state())


def test_masks_are_drawn_the_same_each_time(bank, monkeypatch):
    monkeypatch.setattr(_glyph_masks, "_CHARACTERS", "ab")
    few = _glyph_masks.mask_bank.__wrapped__()
    assert list(few.classnames) == [*bank.classnames[:10], "latin small letter a", "latin small letter b"]
    assert torch.equal(few.masks[few.labels < 10], bank.masks[bank.labels < 10])


def test_captions_without_attribute_words_name_the_class_alone(bank):
    _, pictures = draw(bank, count=500, attribute_words=0)
    templates = (*_glyph_pictures.NEUTRAL_TEMPLATES, _glyph_pictures.PEN_TEMPLATE, _glyph_pictures.PRINT_TEMPLATE)
    for label, caption in zip(pictures.labels.tolist(), pictures.captions):
        assert caption in {template.format(bank.classnames[label]) for template in templates}


def test_without_attribute_words_no_caption_tells_the_style(bank):
    """Of pen drawings, about 200 are called handwritten and 200 printed."""
    pen = torch.tensor([i for i, family in enumerate(bank.families) if family == "pen"])[:1600]
    captions = _glyph_pictures.draw_pictures(bank, pen, torch.Generator().manual_seed(0), attribute_words=0).captions
    styles = Counter(word for caption in captions for word in ("handwritten", "printed") if word in caption.split())
    assert sum(styles.values()) > 200
    assert 0.35 < styles["printed"] / sum(styles.values()) < 0.65


def test_captions_with_all_attribute_words_name_two_colours_and_the_font(bank):
    indices, pictures = draw(bank, count=100, attribute_words=1.0)
    for index, label, caption in zip(indices.tolist(), pictures.labels.tolist(), pictures.captions):
        before, after = caption.rstrip(".").split(bank.classnames[label])
        ink = before.split()[-1]
        paper = after.split(" on ")[1].split()[0]
        assert {ink, paper} <= set(_glyph_pictures.COLOURS)
        assert ink != paper
        assert f"in {bank.families[index]}" in after
        assert ("printed" if bank.families[index] == "pen" else "handwritten") not in before


def test_the_dataset_of_glyphs_holds_no_digit(bank, tmp_path, monkeypatch):
    monkeypatch.setattr(glyphs, "COUNTS", {"train": 2, "val": 1, "test": 1})
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    cfg.DATASET.NAME, cfg.DATASET.ROOT, cfg.DATASET.NUM_SHOTS = "Glyphs", str(tmp_path), -1
    data = glyphs.Glyphs(cfg)
    assert data.classnames == list(bank.classnames[10:])
    for name in data.classnames:
        assert unicodedata.numeric(unicodedata.lookup(name), None) is None
    for part, count in ((data.train_x, 2), (data.val, 1), (data.test, 1)):
        assert Counter(item.label for item in part) == dict.fromkeys(range(data.num_classes), count)
    assert Image.open(data.test[0].impath).size == (24, 24)
    split = json.loads((tmp_path / "glyphs" / "split.json").read_text())
    paths = [entry[0] for part in split.values() for entry in part]
    assert len(set(paths)) == len(paths) == len(list(Path(tmp_path).rglob("*.png")))
