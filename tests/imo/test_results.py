import json
import os
import platform

import pytest
import torch

from imo.results import find_results, read_results, write_results

RESULTS = {
    "trainer": "TipXPP",
    "dataset": "Digits",
    "cfg": "vit_b16",
    "backbone": "ViT-B/16",
    "backbone_sha256": "abc",
    "adapter_sha256": None,
    "correction": "adapter",
    "shots": 16,
    "seed": 0,
    "accuracy": 71.25,
    "macro_f1": 70.5,
    "n_test": 80,
    "tuned_on": "val (full)",
    "hyper_parameters": {"alpha": 0.1, "beta": 20 / 19, "gamma": None},
    "val_accuracy": 72.0,
    "seconds": {"search": 0.25},
    "images_encoded": {"original": 10},
    "settings": "0123456789abcdef",
}


def test_results_come_back_as_written(tmp_path):
    path = write_results(tmp_path / "run" / "seed0", {**RESULTS, "extra": [1, 2]})
    assert path == tmp_path / "run" / "seed0" / "results.json"
    content = read_results(tmp_path / "run" / "seed0")
    assert content.pop("schema_version") == 1
    versions = content.pop("versions")
    assert versions["python"] == platform.python_version()
    assert versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert content == {**RESULTS, "extra": [1, 2]}
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize("key", RESULTS)
def test_a_missing_key_is_named_and_nothing_is_written(tmp_path, key):
    with pytest.raises(KeyError, match=key):
        write_results(tmp_path, {k: v for k, v in RESULTS.items() if k != key})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", '{"schema_version": 1', "[1]", "{}", '{"schema_version": 2}', "\x00"])
def test_results_that_cannot_be_read_are_none(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    assert read_results(tmp_path) is None


def test_a_run_without_results_is_unfinished(tmp_path):
    assert read_results(tmp_path) is None
    assert read_results(tmp_path / "missing") is None


def test_results_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_results(tmp_path, RESULTS)
    with pytest.raises(TypeError):
        write_results(tmp_path, {**RESULTS, "accuracy": object()})

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_results(tmp_path, {**RESULTS, "accuracy": 1.0})
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert read_results(tmp_path)["accuracy"] == 71.25


def test_finished_runs_are_found_in_the_order_of_their_paths(tmp_path):
    for folder in ("b/seed2", "a/seed10", "b/seed1", "a/x/y/seed3"):
        write_results(tmp_path / folder, {**RESULTS, "cfg": folder})
    (tmp_path / "a" / "broken").mkdir()
    (tmp_path / "a" / "broken" / "results.json").write_text("{")
    (tmp_path / "a" / "half").mkdir()
    (tmp_path / "a" / "half" / "log.txt").write_text("...")
    assert [run["cfg"] for run in find_results(tmp_path)] == ["a/seed10", "a/x/y/seed3", "b/seed1", "b/seed2"]
    assert list(find_results(tmp_path / "missing")) == []


def test_results_are_json_for_any_reader(tmp_path):
    path = write_results(tmp_path, RESULTS)
    assert json.loads(path.read_bytes().decode("ascii"))["hyper_parameters"] == RESULTS["hyper_parameters"]
