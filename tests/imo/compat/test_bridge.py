import importlib.util
import sys
from pathlib import Path

import pytest

from imo.compat.bridge import ensure_dassl


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder first on the path, with a folder `dassl`; no Dassl, real or stand-in, is on it or imported."""
    (tmp_path / "dassl").mkdir()
    for name in [name for name in sys.modules if name.partition(".")[0] == "dassl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not Path(path, "dassl/__init__.py").is_file()])
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_installed_dassl_is_left_alone(place):
    (place / "dassl/__init__.py").touch()
    before = list(sys.path)
    assert ensure_dassl() == "dassl"
    assert sys.path == before
    assert importlib.util.find_spec("dassl").origin == str(place / "dassl/__init__.py")


def test_a_folder_that_is_no_package_is_no_dassl(place):
    """Such as a clone of Dassl.pytorch under that name, whose package lies one folder deeper."""
    assert ensure_dassl() == "imo.compat"
    assert importlib.util.find_spec("dassl").origin.endswith("compat/dassl/__init__.py")
    assert ensure_dassl() == "imo.compat"
