"""overlap.sh and report.sh: what they run, and their usage."""

import os
import re
import shutil
import subprocess

import pytest
from bench import ROOT

START = re.search(r'^START="(.*)"$', (ROOT / "scripts/_env.sh").read_text(), re.MULTILINE)[1]
IMO = f"[-W] [ignore] [-c] [{START}]"


@pytest.fixture
def script(tmp_path):
    """script(name, ...): its status and output, with a `python` that says what it was called with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    python = folder / "python"
    python.write_text(f"""#!{shutil.which("bash")}\n[ "$1" = - ] || printf '[%s] ' "$@"\n""")
    python.chmod(0o755)

    def run(name, *args, **environment):
        variables = {
            "PATH": f"{folder}{os.pathsep}{os.defpath}",
            "DATA": "my data",
            "OUTPUT": "my output",
            **environment,
        }
        done = subprocess.run(
            ["bash", str(ROOT / "scripts" / name), *args], capture_output=True, text=True, env=variables
        )
        return done.returncode, done.stdout.strip()

    return run


def test_overlap(script):
    start = f"{IMO} [overlap] [--dataset] [digits] [--cfg] [glyph]"
    end = "[--data] [my data] [--output] [my output] [--adapter] [] [--backbone] []"
    assert script("overlap.sh", "digits", "glyph") == (0, f"{start} [--split] [val] [--corrections] {end}")
    found = script("overlap.sh", "digits", "glyph", SPLIT="test", CORRECTIONS="none adapter")
    assert found == (0, f"{start} [--split] [test] [--corrections] [none] [adapter] {end}")


def test_report(script):
    start = f"{IMO} [report] [my output]"
    assert script("report.sh") == (0, start)
    assert script("report.sh", "--against", "a b.csv") == (0, f"{start} [--against] [a b.csv]")


@pytest.mark.parametrize(
    "name, args, status", [("overlap.sh", (), 2), ("overlap.sh", ("-h",), 0), ("report.sh", ("-h",), 0)]
)
def test_usage(script, name, args, status):
    found, out = script(name, *args)
    assert found == status and f"bash scripts/{name}" in out and "[-W]" not in out
