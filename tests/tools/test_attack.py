"""A little of what `python tools/attack` does at length."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "tools/attack"), str(HERE.parents[1] / "e2e")]

import hostile_files  # noqa: E402
import killing  # noqa: E402
import pruning  # noqa: E402


@pytest.mark.parametrize("name", ["train", "adapter", "make", "thrice"])
def test_a_killed_command_goes_on(tmp_path, name):
    """Equal results, nothing left behind, and an end."""
    assert killing.kills(1, 1, [name], tmp_path) == []


def test_what_is_lost_and_left_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(killing, "age", lambda folder: (folder / "mine").write_text(""))
    (wrong,) = killing.kills(1, 1, ["make"], tmp_path)
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
