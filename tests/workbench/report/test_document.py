"""docs/RESULTS.md as `imo report --document` writes it."""

import re

import msgspec
import pytest
from PIL import Image
from reporting import ISOCLIP, make_analysis, make_run, make_study, overlap_of, write_analysis, write_study

from imo.workbench.cli import call
from imo.workbench.report.document import document
from imo.workbench.report.load import gather


def sections(text):
    """{heading: {title: {first cell: {column: cell}}}} of a document's tables."""
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        tables = found.setdefault(heading, {})
        for title, table in re.findall(r"^\*\*(.+)\*\*\n\n((?:\|.*\n)+)", body, flags=re.MULTILINE):
            header, _, *rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
            tables[title] = {row[0]: dict(zip(header[1:], row[1:])) for row in rows}
    return found


@pytest.fixture
def root(tmp_path):
    isoclip = [
        make_run("TipX (isoclip)", 4, seed, 56.0, "Birds", overlap=overlap_of(0.6), seconds={"test": 2.0}, **ISOCLIP)
        for seed in (1, 2)
    ]
    write_study(tmp_path, [*isoclip, *make_study()])
    return tmp_path


def test_every_number_stands_under_its_dataset(root):
    found = sections(document(gather(root)))
    assert list(found) == ["Side by side", "Corrections", "Overlap", "Birds", "Cars", "average of datasets"]
    birds = found["Birds"]
    assert birds["Accuracy"] == {
        "ZeroshotCLIP": {"0 shots": "40.0", "1 shot": "", "4 shots": ""},
        "TipX": {"0 shots": "", "1 shot": "52.5 ± 0.7", "4 shots": "55.5 ± 0.7"},
        "TipXPP": {"0 shots": "", "1 shot": "54.8 ± 0.8", "4 shots": "57.8 ± 0.8"},
        "TipX (isoclip)": {"0 shots": "", "1 shot": "", "4 shots": "56.0 ± 0.0"},
    }
    assert birds["Gains"]["TipXPP"] == {"1 shot": "+2.3 ± 0.1", "4 shots": "+2.3 ± 0.1"}
    assert found["Cars"]["Gains"]["TipXPP"]["4 shots"] == "-0.7 ± 0.1"
    assert found["average of datasets"]["Accuracy"]["TipXPP"]["4 shots"] == "56.3 ± 0.8"
    assert list(found["Side by side"]["Accuracy at 4 shots"]) == ["ZeroshotCLIP", "TipX", "TipXPP", "TipX (isoclip)"]
    assert found["Side by side"]["Accuracy at 4 shots"]["TipX (isoclip)"]["s"] == "2.00"


def test_corrections_are_summed_up(root):
    text = document(gather(root))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "| adapter" in line]
    assert rows[0] == ["Birds", "adapter", "0.500", "0.400", "+2.3", "+2.3", "+2.3", "0 of 2"]
    assert rows[1] == ["Cars", "adapter", "0.300", "0.310", "-0.7", "-0.7", "-0.7", "2 of 2"]
    assert "correction isoclip: area 0.600" in text


def test_a_cell_without_all_seeds_says_how_many_it_has(tmp_path):
    write_study(tmp_path, [run for run in make_study() if (run.method, run.shots, run.seed) != ("TipXPP", 4, 1)])
    assert sections(document(gather(tmp_path)))["Cars"]["Accuracy"]["TipXPP"]["4 shots"] == "55.4 (n=1)"


def test_the_command_writes_the_document_and_its_pictures_alone(root, tmp_path, capsys):
    write_analysis(root, make_analysis())
    path = tmp_path / "docs" / "RESULTS.md"
    assert call("report", [str(root), "--document", str(path)]) == 0
    assert "curves.png" in capsys.readouterr().out
    assert sorted(p.name for p in path.parent.iterdir()) == ["RESULTS.md", "curves.png", "overlap.png"]
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"!\[.*\]\((.*)\)", text):
        Image.open(path.parent / name).verify()
    assert "On Birds (val (full) images)" in text
    assert "under the correction adapter from 0.200 to 0.200 (change -0.100, 95 % interval -0.150 to -0.050)" in text
    assert not (root / "report").exists()


def test_without_analyses_no_picture_is_promised(root, tmp_path):
    path = tmp_path / "docs" / "RESULTS.md"
    assert call("report", [str(root), "--document", str(path)]) == 0
    assert "overlap.png" not in path.read_text(encoding="utf-8")


def test_methods_that_depend_on_the_test_set_are_named(root):
    assert "Transductive" not in document(gather(root))
    run = msgspec.structs.replace(make_run("APE", accuracy=60.0, dataset="Birds"), transductive=True)
    write_study(root, [run])
    assert "depends on the others): APE." in document(gather(root))
