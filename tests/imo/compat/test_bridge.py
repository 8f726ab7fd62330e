import importlib.util
import sys

from imo.compat.bridge import ensure_dassl


def test_an_installed_dassl_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "dassl").mkdir()
    (tmp_path / "dassl/__init__.py").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == "dassl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("compat")])
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.path)
    assert ensure_dassl() == "dassl"
    assert sys.path == before
    assert importlib.util.find_spec("dassl").origin == str(tmp_path / "dassl/__init__.py")
