import json
import unicodedata
from collections import Counter
from pathlib import Path

from building import config
from PIL import Image

from imo.datasets import glyphs
from imo.datasets.making import glyph_masks


def test_the_dataset_of_glyphs_holds_no_digit(bank, tmp_path, monkeypatch):
    keep = bank.labels < 22  # the digits and twelve others; that no other is a digit is tested on the masks
    families = tuple(family for family, kept in zip(bank.families, keep.tolist(), strict=True) if kept)
    few = glyph_masks.MaskBank(bank.masks[keep], bank.labels[keep], families, bank.classnames[:22])
    monkeypatch.setattr(glyph_masks, "mask_bank", lambda: few)
    monkeypatch.setattr(glyphs, "COUNTS", {"train": 2, "val": 1, "test": 1})
    data = glyphs.Glyphs(config(tmp_path, NAME="Glyphs"))
    assert data.classnames == list(few.classnames[10:])
    for name in data.classnames:
        assert unicodedata.numeric(unicodedata.lookup(name), None) is None
    for part, count in ((data.train_x, 2), (data.val, 1), (data.test, 1)):
        assert Counter(item.label for item in part) == dict.fromkeys(range(data.num_classes), count)
    assert Image.open(data.test[0].impath).size == (24, 24)
    split = json.loads((tmp_path / "glyphs" / "split.json").read_text())
    paths = [entry[0] for part in split.values() for entry in part]
    assert len(set(paths)) == len(paths) == len(list(Path(tmp_path).rglob("*.png")))
