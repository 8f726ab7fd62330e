"""Checks who imports whom (import-linter) and all types (mypy), with the settings in pyproject.toml.

    python tools/check_types_and_imports.py [imports | types]        by default both

In a checkout, trainers/, datasets/ and workbench/ lie beside imo/ and are imported as imo.trainers and so on, which
neither tool can follow. Both therefore read the packages as they are installed: build/checked/ has a link to each. The
paths in what they say are those of the checkout. What they found out is kept in build/, so a second call takes seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("trainers", "datasets", "workbench")  # of imo/ in a checkout, inside it where it is installed
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def main(which: list[str]) -> int:
    """Returns 0 where all is well."""
    build = ROOT / "build"
    house = build / "checked"
    lay_out(house)
    settings = str(ROOT / "pyproject.toml")
    checks = {
        "imports": ["-c", LINT, "--no-logo", "--cache-dir", str(build / "import_linter_cache"), "--config", settings],
        "types": ["-m", "mypy", "--config-file", settings, "--cache-dir", str(build / "mypy_cache")],
    }
    unknown = set(which) - set(checks)
    if unknown:
        print(f"error: expected some of {', '.join(checks)}, got {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    return max([run(checks[name], house) for name in which or checks])


def lay_out(house: Path) -> None:
    """Links to the packages as an installed copy has them, and to the stand-in for Dassl under the name `dassl`."""
    shutil.rmtree(house, ignore_errors=True)
    inside = {path.name: path for path in (ROOT / "imo").iterdir()} | {name: ROOT / name for name in BESIDE}
    inside |= {f"compat/{path.name}": path for path in inside.pop("compat").iterdir()}
    links = {f"imo/{name}": path for name, path in inside.items() if path.name not in ("dassl", "__pycache__")}
    for name, path in (links | {"dassl": ROOT / "imo/compat/dassl"}).items():
        link = house / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def run(command: list[str], house: Path) -> int:
    """Run Python where the links are, and print what it says with the checkout's paths."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house), "MYPYPATH": str(house)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = re.sub(rf"^imo/({'|'.join(BESIDE)})/", r"\1/", done.stdout, flags=re.MULTILINE)
    print(re.sub(r"^dassl/", "imo/compat/dassl/", said, flags=re.MULTILINE), end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
