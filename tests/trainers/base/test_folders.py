"""A run's output folder."""

import os

import pytest
import torch
from torch import nn

from imo.errors import InputError
from imo.trainers.base import folders


@pytest.fixture
def left(tmp_path):
    """What a run has left, and somebody's own files."""
    (tmp_path / "cache").mkdir()
    names = ("results.json", "surface.npz", "adapter.safetensors", "log.txt", "notes.txt")
    names += ("cache/checkpoint", "cache/model.pth.tar-1", "cache/model-best.pth.tar", "cache/other.pt")
    for name in names:
        (tmp_path / name).touch()
    return tmp_path


def test_what_a_run_left_is_removed_and_nothing_else(left):
    folders.withdraw(left, ["cache", "none"])
    files = sorted(path.relative_to(left).as_posix() for path in left.rglob("*") if path.is_file())
    assert files == ["cache/other.pt", "log.txt", "notes.txt"]
    folders.withdraw(left / "nowhere", ["cache"])


def test_nothing_is_removed_through_a_link(left, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "cache"
    (left / "cache").rename(other)
    (left / "cache").symlink_to(other)
    with pytest.raises(InputError, match="link"):
        folders.withdraw(left, ["cache"])
    assert len(list(other.iterdir())) == 4 and (left / "results.json").exists()


def test_a_record_is_kept_and_read_without_the_model(tmp_path):
    model, path = nn.Linear(2, 1), tmp_path / "model.pth.tar-1"
    plain = model.state_dict()
    model.record = folders.Record(lambda: {"OPTIM.LR": "0.1"})
    torch.save({"state_dict": model.state_dict()}, path)
    assert folders.recorded(path) == {"OPTIM.LR": "0.1"}
    model.load_state_dict(model.state_dict())
    model.load_state_dict(plain)  # of another project, which keeps none
    torch.save({"state_dict": plain}, path)
    assert folders.recorded(path) == {}


@pytest.mark.parametrize("value", (torch.tensor([1.0, torch.nan]), torch.tensor(-torch.inf), float("nan")))
def test_numbers_that_are_not_finite_are_found_wherever_they_are(tmp_path, value):
    path = tmp_path / "state"
    torch.save({"state_dict": {"a": torch.ones(2), "b": {"c": [1, "x", None, (True, value)]}}}, path)
    with pytest.raises(InputError, match=r"state: b\.c is NaN or infinite"):
        folders.recorded(path)


@pytest.mark.parametrize("content", ([1], {"state_dict": 3}, {"state_dict": {"record._extra_state": 3}}, {}))
def test_what_is_no_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "state")
    with pytest.raises(InputError, match="x is damaged"), folders.checkpoint_errors("x", "remove it"):
        folders.recorded(tmp_path / "state")


def test_what_killed_processes_left_goes_when_a_run_is_looked_at(left):
    for place in (left, left / "cache"):
        half = place / ".imo-tmp.0123456789ab-elsewhere"
        half.touch()
        os.utime(half, (1, 1))
    (left / "results.json").unlink()
    assert folders.finished(left, {}, dict) is None
    assert not list(left.rglob(".imo-tmp*")) and (left / "notes.txt").exists()
