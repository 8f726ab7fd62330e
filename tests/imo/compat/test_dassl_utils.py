from __future__ import annotations

import io
import json
import os
import re
import sys

import pytest
import torch
from dassl.utils import (
    AverageMeter,
    MetricMeter,
    Registry,
    check_availability,
    check_isfile,
    collect_env_info,
    count_num_param,
    get_most_similar_str_to_a_from_b,
    listdir_nohidden,
    read_json,
    setup_logger,
    tolist_if_not,
    write_json,
)


def test_registry_refuses_duplicates_unless_forced():
    registry = Registry("THING")

    @registry.register()
    class Thing:
        pass

    assert registry.get("Thing") is Thing
    other = type("Thing", (), {})
    with pytest.raises(KeyError, match="already registered in the THING"):
        registry.register(other)
    assert registry.get("Thing") is Thing
    registry.register(other, force=True)
    assert registry.get("Thing") is other
    assert registry.registered_names() == ["Thing"]
    with pytest.raises(KeyError, match="not registered"):
        registry.get("Other")


def test_names():
    assert get_most_similar_str_to_a_from_b("CoOp", ["ZeroshotCLIP", "CoCoOp", "x"]) == "CoCoOp"
    check_availability("a", ["a"])
    with pytest.raises(ValueError, match=r"\[OxfordPet\] \(do you mean \[OxfordPets\]"):
        check_availability("OxfordPet", ["Food101", "OxfordPets"])
    assert tolist_if_not("x") == ["x"]
    assert tolist_if_not(["x"]) == ["x"]


def test_meters():
    meter = MetricMeter()
    meter.update({"loss": 1.0, "acc": torch.tensor(50.0)})
    meter.update({"loss": 2.0, "acc": 100.0})
    meter.update(None)
    assert str(meter) == "loss 2.0000 (1.5000) acc 100.0000 (75.0000)"
    with pytest.raises(TypeError):
        meter.update([1.0])
    weighted = AverageMeter()
    weighted.update(1.0, n=3)
    weighted.update(5.0)
    assert weighted.avg == 2.0
    moving = AverageMeter(ema=True)
    moving.update(1.0)
    moving.update(2.0)
    assert moving.avg == pytest.approx(0.9 * 0.1 + 0.2)


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "split.json"
    write_json({"train": [["a.jpg", 0, "cat"]]}, str(path))
    assert read_json(str(path)) == {"train": [["a.jpg", 0, "cat"]]}
    with pytest.raises(TypeError):
        write_json({"train": object()}, str(path))
    assert json.loads(path.read_text())["train"]
    assert listdir_nohidden(str(path.parent)) == ["split.json"]


def test_files(tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).touch()
    assert listdir_nohidden(str(tmp_path), sort=True) == ["a", "b"]
    assert check_isfile(str(tmp_path / "a"))
    with pytest.warns(UserWarning, match="No file found"):
        assert not check_isfile(str(tmp_path / "c"))


def test_log_is_a_copy_of_standard_output_and_spares_the_old_one(tmp_path, monkeypatch):
    console = io.StringIO()
    monkeypatch.setattr(sys, "stdout", console)
    setup_logger(str(tmp_path))
    print("first")
    assert (tmp_path / "log.txt").read_text() == "first\n"  # before any flush or close
    assert sys.stdout.isatty() is False

    monkeypatch.setattr(sys, "stdout", console)
    setup_logger(str(tmp_path))
    print("second")
    assert (tmp_path / "log.txt").read_text() == "first\n"
    (newer,) = [path for path in tmp_path.iterdir() if path.name != "log.txt"]
    assert re.fullmatch(r"log\.txt-\d{4}(-\d{2}){5}", newer.name)
    assert newer.read_text() == "second\n"
    assert console.getvalue() == "first\nsecond\n"


def test_environment_names_versions():
    assert f"PyTorch: {torch.__version__}" in collect_env_info().splitlines()


def test_number_of_parameters():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    assert count_num_param(model) == 2 * 3 + 3 + 3 + 3
    assert count_num_param(params=[torch.zeros(4), {"params": torch.zeros(2)}]) == 6


def test_a_log_is_not_written_through_a_link(tmp_path, monkeypatch):
    if "imo" not in sys.modules[setup_logger.__module__].__file__.split(os.sep):
        pytest.skip("upstream Dassl")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    (tmp_path / "log.txt").symlink_to(tmp_path / "target")
    for there in (False, True):
        with pytest.raises(ValueError, match=r"log\.txt: a link to"):
            setup_logger(str(tmp_path))
        assert (tmp_path / "target").exists() == there
        (tmp_path / "target").touch()
    assert (tmp_path / "target").read_text() == "" and len(os.listdir(tmp_path)) == 2
