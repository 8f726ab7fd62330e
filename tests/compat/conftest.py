"""Puts the stand-in on the path where the real Dassl is absent; where it is present, there is nothing to test."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

COMPAT = Path(__file__).resolve().parents[2] / "imo" / "compat"
_spec = find_spec("dassl")
if _spec is None:
    sys.path.append(str(COMPAT))
elif _spec.origin is None or COMPAT not in Path(_spec.origin).resolve().parents:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def make_items(tmp_path):
    """Builds data items of given labels; brightness tells the classes apart."""
    from dassl.data.datasets import Datum
    from PIL import Image

    def make(labels):
        items = []
        for number, label in enumerate(labels):
            path = tmp_path / f"image_{number}.png"
            Image.new("RGB", (6, 6), (60 * label + number % 7,) * 3).save(path)
            items.append(Datum(impath=str(path), label=label, classname=f"class_{label}"))
        return items

    return make
