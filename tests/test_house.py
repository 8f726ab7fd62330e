"""The house as a whole: names that hide others, the checks of imports and types, what an installed copy holds."""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from distutils.core import run_setup
from pathlib import Path

import pytest

import imo

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("imo", "trainers", "datasets", "workbench")
TOP = (*ROOMS, "configs", "scripts", "benchmarks", "docs", "expected", "tests", "tools")


# Names.


def bound_names(tree):
    """Names that a package's own code gives to something other than a module of its."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_no_name_in_a_package_hides_one_of_its_modules():
    """`from imo import search` must not give the function to one reader and the module to another."""
    packages = [path for room in ROOMS for path in (ROOT / room).rglob("__init__.py")]
    assert len(packages) > 20
    for path in packages:
        inside = {child.stem for child in path.parent.iterdir() if child.suffix == ".py" or child.is_dir()}
        if path.parent == ROOT / "imo":
            inside |= {*ROOMS[1:], *(child.stem for child in (ROOT / "workbench/aliases").glob("*.py"))}
        assert not inside & {*bound_names(ast.parse(path.read_text()))}, path


def test_files_are_written_by_one_mechanism():
    """`imo.files.atomic_path` alone knows names of temporary files, and sweeps what killed processes leave."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        text = path.read_text()
        assert "tempfile" not in text and "chmod" not in text, path


# tools/check_types_and_imports.py, on a small house.


@pytest.fixture
def house(tmp_path, monkeypatch, capfd):
    """house(which, file=text, ...): what the check says of a house with these files: (its status, text)."""
    spec = importlib.util.spec_from_file_location("check", ROOT / "tools/check_types_and_imports.py")
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    monkeypatch.setattr(check, "ROOT", tmp_path)
    command = "from imo.workbench.cli import main\n"
    files = {
        "datasets/__main__.py": command,
        "imo/store/__main__.py": command,
        "workbench/cli.py": "def main() -> None: ...",
    }
    files |= {
        f"imo/{name}.py": ""
        for name in ("results", "protocol", "checks", "files", "images", "pieces", "rules", "bounds", "locks", "errors")
    }
    rooms = (*ROOMS, *(f"imo/{name}" for name in ("model", "classify", "measure", "store", "compat", "compat/dassl")))
    files |= {f"{room}/__init__.py": "" for room in rooms}
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def say(which, **changed):
        for name, text in (files | {name.replace("__", "/") + ".py": text for name, text in changed.items()}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return check.main([which]), capfd.readouterr().out

    return say


def test_imports_that_point_downward_pass(house):
    status, said = house(
        "imports", trainers__a="from imo.model import x\nimport dassl", imo__model__x="import imo.errors"
    )
    assert status == 0, said


@pytest.mark.parametrize(
    "files, words",
    [
        ({"imo__model__x": "import imo.trainers"}, "imo.model.x -> imo.trainers"),
        ({"imo__errors": "from imo import files"}, "imo.errors -> imo.files"),
        ({"trainers__a": "from imo.datasets import b", "datasets__b": ""}, "imo.trainers.a -> imo.datasets.b"),
        ({"imo__measure__x": "def late():\n    from imo import workbench"}, "imo.measure.x -> imo.workbench"),
        ({"imo__classify__x": "import dassl"}, "imo.classify.x -> dassl"),
        ({"trainers__a": "from imo.trainers import b", "trainers__b": "from imo.trainers import a"}, "No cycles"),
        ({"compat__x": "", "imo__compat__dassl__a": "from .b import c", "imo__compat__dassl__b": "from .a import d"},
         "No cycles are allowed in dassl"),
    ],
)  # fmt: skip
def test_imports_that_point_upward_sideways_or_round_are_told(house, files, words):
    status, said = house("imports", **files)
    assert status == 1 and words in said, said


def test_missing_types_are_told_with_the_checkouts_paths(house):
    status, said = house(
        "types", imo__model__x="def f(a): return a", imo__compat__dassl__y="x: int = ''", workbench__x="import yacs"
    )
    assert status == 1
    assert {line.partition(":")[0] for line in said.splitlines() if ": error:" in line} == {
        "imo/model/x.py",
        "imo/compat/dassl/y.py",
    }
    assert house("types", imo__model__x="", imo__compat__dassl__y="")[0] == 0


def test_an_unknown_check_is_refused(house):
    assert house("spelling")[0] == 2


# Packaging.


@pytest.fixture
def setup_call(monkeypatch):
    """What setup.py says, without building."""
    monkeypatch.chdir(ROOT)
    return run_setup("setup.py", stop_after="init")


def test_the_version_stands_once(setup_call):
    assert setup_call.metadata.version == imo.__version__
    for path in (ROOT / "setup.py", ROOT / "CITATION.cff", ROOT / "imo/__init__.py", ROOT / "pyproject.toml"):
        assert imo.__version__ not in path.read_text(), path


def test_every_requirement_has_a_bound(setup_call):
    needs = [*setup_call.install_requires, *(need for needs in setup_call.extras_require.values() for need in needs)]
    assert len(needs) > 20
    assert [need for need in needs if not re.search(r"[<>]=?\d", need)] == []


def test_commands_lead_somewhere(setup_call):
    for line in setup_call.entry_points["console_scripts"]:
        module, _, function = line.partition("=")[2].partition(":")
        assert callable(getattr(importlib.import_module(module), function)), line


def test_archives_hold_what_they_should(tmp_path):
    """The wheel: packages, configs and data, as `imo.`; the source archive: all there is. Both from a bare copy."""
    copy = tmp_path / "copy"
    for name in TOP:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.*"), ROOT / "LICENSE"):
        if path.is_file() and not path.name.startswith(".git"):
            shutil.copy(path, copy)
    there = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    command = [sys.executable, "-W", "ignore", "setup.py", "-q", "sdist", "-d", tmp_path, "bdist_wheel", "-d", tmp_path]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert there - source == set()

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(tmp_path / "installed")
    beside = {f"imo/{name}" for name in there if name.partition("/")[0] in (*ROOMS[1:], "configs")}
    assert wheel == {name for name in there if name.startswith("imo/")} | beside
    for name in ("imo/py.typed", "imo/model/assets/glyph.safetensors", "imo/configs/backbones/glyph.yaml"):
        assert name in wheel

    code = (
        "import imo.workbench.configs as c, imo.sweep; print(c.__file__, c.resolve('configs/trainers/TipX/glyph.yaml'))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    installed = tmp_path / "installed/imo"
    assert run.stdout.split() == [f"{installed}/workbench/configs.py", f"{installed}/configs/backbones/glyph.yaml"], (
        run.stderr
    )


# Documents.


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) < 8192


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text())
    for link in links:
        assert "://" in link or (ROOT / name).parent.joinpath(link).exists(), link
