import unicodedata
from collections import Counter

import torch

from imo.datasets.making import glyph_masks

ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LOOK_ALIKES = {  # in the scripts at hand, after Unicode's confusables.txt
    "0": "OoΟοОоՕօסഠ०◦○●°",
    "1": "Il|ΙІӀוןا∣ǀ",
    "3": "ЗзӠӡƷʒ",
}


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


def test_masks_are_drawn_the_same_each_time(bank, monkeypatch):
    monkeypatch.setattr(glyph_masks, "_CHARACTERS", "ab")
    few = glyph_masks.mask_bank.__wrapped__()
    assert list(few.classnames) == [*bank.classnames[:10], "latin small letter a", "latin small letter b"]
    assert torch.equal(few.masks[few.labels < 10], bank.masks[bank.labels < 10])
