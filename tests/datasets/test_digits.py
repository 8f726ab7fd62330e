"""Digits and ColoredDigits."""

import json
from pathlib import Path

import numpy as np
import pytest
from building import config
from PIL import Image


@pytest.fixture(scope="module")
def digits_root(tmp_path_factory):
    """A data root with Digits and ColoredDigits."""
    pytest.importorskip("sklearn")
    from imo.datasets.colored_digits import ColoredDigits
    from imo.datasets.digits import Digits

    root = tmp_path_factory.mktemp("data")
    for dataset in (Digits, ColoredDigits):
        dataset(config(root))
    return root


def split_of(root, dataset):
    return json.loads((root / dataset / "split.json").read_text())


def test_digits_are_written_once_each_in_one_part(digits_root):
    from sklearn.datasets import load_digits

    source = load_digits()
    split = split_of(digits_root, "digits")
    entries = [entry for part in split.values() for entry in part]
    assert sorted(int(Path(name).stem) for name, _, _ in entries) == list(range(1797))
    english = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    for name, label, classname in entries:
        assert label == source.target[int(Path(name).stem)]
        assert classname == f"digit {english[label]}"
    for name, _, _ in split["train"][::100]:
        pixels = np.asarray(Image.open(digits_root / "digits" / "images" / name))
        np.testing.assert_allclose(pixels, source.images[int(Path(name).stem)] * 255 / 16, atol=0.5)


def test_colored_digits_keep_the_split_of_digits(digits_root):
    assert split_of(digits_root, "colored_digits") == split_of(digits_root, "digits")


def test_colours_vary_and_show_the_same_digit(digits_root):
    papers = set()
    for name, _, _ in split_of(digits_root, "digits")["test"][::90]:
        grey = np.asarray(Image.open(digits_root / "digits" / "images" / name), np.float64) / 255
        coloured = np.asarray(Image.open(digits_root / "colored_digits" / "images" / name), np.float64)
        papers.add(tuple(coloured[grey == 0][0]))
        ink, paper = coloured[grey == 1][0], coloured[grey == 0][0]
        np.testing.assert_allclose(coloured, grey[..., None] * ink + (1 - grey[..., None]) * paper, atol=2)
        assert np.linalg.norm(ink - paper) > 125
    assert len(papers) > 5
