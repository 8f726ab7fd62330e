import subprocess
import sys

ASK = """
import sys
from imo.compat.bridge import ensure_dassl
which = ensure_dassl()
import dassl
print(which, dassl.__version__, any("compat" in path for path in sys.path))
"""


def test_an_installed_dassl_is_left_alone(tmp_path):
    (tmp_path / "dassl").mkdir()
    (tmp_path / "dassl/__init__.py").write_text("__version__ = 'theirs'")
    # Of the current folder, python -c looks there first.
    done = subprocess.run([sys.executable, "-c", ASK], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["dassl", "theirs", "False"], done.stderr
