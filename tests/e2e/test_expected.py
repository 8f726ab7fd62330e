"""The results that ship in expected/ are those that the scripts give and that docs/RESULTS.md tells."""

import os
import re
import subprocess

import pytest
from bench import ROOT

from imo.workbench.report.against import read_expected

EXPECTED = sorted((ROOT / "expected").glob("*.csv"))


def told(text):
    """{(dataset, method or "gain of method", shots): cell} of a document that `imo report --document` wrote."""
    found = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        dataset, _, body = section.partition("\n")
        for title, table in re.findall(r"^\*\*(Accuracy|Gains)\*\*\n\n((?:\|.*\n)+)", body, flags=re.MULTILINE):
            header, _, *rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
            shots = [int(column.split()[0]) for column in header[1:]]
            for method, *cells in rows:
                label = method if title == "Accuracy" else f"gain of {method}"
                found |= {(dataset, label, k): cell for k, cell in zip(shots, cells) if cell}
    return found


def assert_tells(text, expected):
    """Every figure stands in the document, rounded to one decimal, over as many seeds."""
    cells = told(text)
    for place, figure in expected.items():
        assert place in cells, place
        numbers = re.fullmatch(r"([+-]?\d+\.\d)(?: ± (\d+\.\d))?", cells[place])
        assert numbers, (place, cells[place])
        assert float(numbers[1]) == pytest.approx(figure.mean, abs=0.0501), place
        assert (numbers[2] is None) == (figure.std is None), place
        assert figure.std is None or float(numbers[2]) == pytest.approx(figure.std, abs=0.0501), place


def test_the_document_tells_what_is_stored():
    expected = read_expected(EXPECTED)
    assert len(expected) == 328
    text = (ROOT / "docs/RESULTS.md").read_text(encoding="utf-8")
    assert_tells(text, expected)
    place = ("ColoredDigits", "TipXPP", 16)
    with pytest.raises(AssertionError, match="TipXPP"):
        assert_tells(text.replace(told(text)[place], "78.0 ± 1.8"), {place: expected[place]})


@pytest.mark.slow
def test_compare_gives_what_is_stored(tmp_path):
    variables = {**os.environ, "DATA": str(tmp_path / "data"), "OUTPUT": str(tmp_path / "output"), "SEEDS": "1 2 3"}
    (tmp_path / "data").mkdir()
    for name in ("ADAPTER", "BACKBONE", "CFG", "VALIDATION", "CORRECTIONS"):
        variables.pop(name, None)
    stored, document = ROOT / "expected/colored_digits.csv", tmp_path / "RESULTS.md"
    for command in (
        ["compare.sh", "colored_digits", "1", "2", "4", "8", "16"],
        ["report.sh", "--document", str(document)],
        ["report.sh", "--against", str(stored)],
    ):
        done = subprocess.run(
            ["bash", str(ROOT / "scripts" / command[0]), *command[1:]], capture_output=True, text=True, env=variables
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of" in done.stdout
    assert_tells(document.read_text(encoding="utf-8"), read_expected([stored]))
