"""A little of what `python tools/attack` does at length."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "tools/attack"), str(HERE.parents[1] / "e2e")]

import hostile_files  # noqa: E402
import killing  # noqa: E402
import pruning  # noqa: E402


def test_killed_commands_go_on(tmp_path):
    """Equal results, nothing left behind, and an end."""
    assert killing.kills(4, 1, ["train", "adapter", "make", "thrice"], tmp_path) == []


def test_what_is_lost_and_left_is_found(tmp_path, monkeypatch):
    document = ["datasets", "document", "--output"]
    monkeypatch.setattr(killing, "attacks", lambda folder: {"a": lambda place: [[*document, str(place / "a.md")]]})
    monkeypatch.setattr(killing, "age", lambda folder: (folder / "mine").write_text(""))
    (wrong,) = killing.kills(1, 1, [], tmp_path)
    assert "lost [], left ['mine']" in wrong


def test_pruning_beside_readers(tmp_path):
    assert pruning.prunes(120, tmp_path / "store") == []


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    hostile_files.prepare(folder)
    return folder


@pytest.mark.parametrize("name", hostile_files.cases())
def test_a_file_that_means_harm_is_refused_in_one_line(prepared, name):
    assert hostile_files.refusal(name, prepared) == ""
