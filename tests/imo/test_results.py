import json
import os
import platform

import msgspec
import numpy as np
import pytest
import torch

from imo.classify.search import Grid, SearchResult
from imo.errors import InputError
from imo.measure.overlap import OverlapReport
from imo.protocol import Protocol
from imo.results import (
    AdapterTraining,
    Prompts,
    Result,
    find_results,
    read_result,
    versions,
    write_result,
    write_surface,
)

OVERLAP = OverlapReport(
    area=0.5, separation=0.8, interval=(0.75, 0.84), resolution=0.0, paired=0.6, unpaired=0.2, images=40,
    within_variance=0.4, between_variance=0.3,
)  # fmt: skip
FIELDS = {
    "trainer": "TipXPP", "method": "TipXPP", "base": "TipX", "correction": "adapter", "cfg": "vit-full",
    "dataset": "Digits", "trained_on": "Digits", "backbone": "ViT-B/16", "backbone_sha256": "abc",
    "adapter_sha256": "def", "shots": 16, "seed": 0, "accuracy": 71.25, "macro_f1": 70.5, "n_test": 80,
    "protocol": Protocol("full", "val"), "tuned_on": "val (full)", "settings": "0123456789abcdef",
}  # fmt: skip
RESULT = Result(**FIELDS)


def test_a_result_comes_back_as_written(tmp_path):
    full = Result(
        **FIELDS,
        transductive=True,
        hyper_parameters={"alpha": 0.1, "beta": 20 / 19},
        val_accuracy=72.0,
        prompts=Prompts(templates=("a photo of a {}.",), unknown_words=("glyph",)),
        data={"test": "0123"},
        overlap=OVERLAP,
        training=AdapterTraining(overlap={"none": OVERLAP}, loss_curve=[(10, 2.5)], held_out_classes=[3]),
        seconds={"search": 0.25},
        images_encoded={"original": 10},
        versions=versions(),
    )
    folder = tmp_path / "run" / "seed0"
    path = write_result(folder, full)
    assert path == folder / "results.json" and [p.name for p in folder.iterdir()] == ["results.json"]
    assert read_result(folder) == full
    write_result(folder, RESULT)
    assert read_result(folder) == RESULT


def test_results_are_json_for_any_reader(tmp_path):
    content = json.loads(write_result(tmp_path, RESULT).read_bytes().decode("utf-8"))
    assert content["schema_version"] == 2 and content["cfg"] == "vit-full" and content["kind"] == "method"
    assert content["protocol"] == {"validation": "full", "images": "val", "by": ""}
    assert set(FIELDS) <= set(content)


def test_versions_are_those_of_this_process():
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]


@pytest.mark.parametrize("key", FIELDS)
def test_no_fact_may_be_left_out(key):
    with pytest.raises(TypeError, match=key):
        Result(**{k: v for k, v in FIELDS.items() if k != key})


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": "50"}, {"accuracy": float("nan")}, {"accuracy": 101.0}, {"accuracy": None}, {"macro_f1": -0.1},
        {"shots": True}, {"shots": 1.5}, {"seed": None}, {"n_test": "80"}, {"hyper_parameters": []},
        {"hyper_parameters": {"alpha": None}}, {"tuned_on": None}, {"protocol": "val"}, {"kind": "other"},
        {"overlap": {"area": 0.5}}, {"prompts": ["a {}"]}, {"base": 3},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_neither_written_nor_read(tmp_path, change):
    with pytest.raises(msgspec.ValidationError):
        write_result(tmp_path, Result(**{**FIELDS, **change}))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "results.json").write_bytes(msgspec.json.encode({**FIELDS, "schema_version": 2, **change}))
    with pytest.raises(InputError, match=r"results\.json: damaged.*run it again"):
        read_result(tmp_path)


@pytest.mark.parametrize("content", ["", '{"schema_version": 2', '{"schema_version": 2}', "\x00"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(InputError, match=r"results\.json: damaged") as error:
        read_result(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ['{"schema_version": 1, "accuracy": 50}', "{}", '{"schema_version": 3}'])
def test_results_of_another_version_are_refused_in_one_line(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(InputError, match=r"another version.*remove the run's folder, or set OUTPUT") as error:
        read_result(tmp_path)
    assert "\n" not in str(error.value)


def test_what_cannot_be_opened_is_refused_in_one_line(tmp_path):
    (tmp_path / "results.json").mkdir()
    with pytest.raises(InputError, match=r"results\.json: cannot be read"):
        read_result(tmp_path)


def test_a_run_without_results_is_unfinished(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        assert read_result(folder) is None


def test_results_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_result(tmp_path, RESULT)

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_result(tmp_path, msgspec.structs.replace(RESULT, accuracy=1.0))
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert read_result(tmp_path).accuracy == 71.25


def test_finished_runs_are_found_in_the_order_of_their_paths(tmp_path):
    for folder in ("b/seed2", "a/seed10", "b/seed1", "a/x/y/seed3"):
        write_result(tmp_path / folder, msgspec.structs.replace(RESULT, cfg=folder))
    (tmp_path / "a" / "broken").mkdir()
    (tmp_path / "a" / "broken" / "results.json").write_text("{")
    (tmp_path / "a" / "half").mkdir()
    (tmp_path / "a" / "half" / "log.txt").write_text("...")
    found = list(find_results(tmp_path))
    assert [place for place, _ in found] == ["a/broken", "a/seed10", "a/x/y/seed3", "b/seed1", "b/seed2"]
    assert isinstance(found[0][1], InputError) and all(result.cfg == place for place, result in found[1:])
    assert list(find_results(tmp_path / "missing")) == []


def test_a_surface_holds_the_grid_and_every_count(tmp_path):
    correct = np.arange(6).reshape(3, 2, 1)
    path = write_surface(tmp_path, SearchResult(1.0, 2.0, None, 50.0, Grid((0, 1, 2), (1, 2)), correct, 9))
    with np.load(path, allow_pickle=False) as file:
        assert {name: file[name].tolist() for name in file} == {
            "alphas": [0, 1, 2], "betas": [1, 2], "gammas": [0], "correct": correct.tolist(), "n": 9,
        }  # fmt: skip
        assert file["correct"].dtype == np.int32
