"""`imo overlap` on the tiny dataset and CLIP, and what the report makes of it."""

import json
from dataclasses import asdict

import pytest
import torch
from bench import imo_command

import imo


@pytest.fixture(scope="module")
def overlap_script(assets):
    def run(output, *options, **instead):
        words = {
            "dataset": "digits", "cfg": "glyph", "data": assets.data, "output": output, "adapter": assets.adapter,
            "backbone": assets.backbone, **instead,
        }  # fmt: skip
        argv = [word for name, value in words.items() for word in (f"--{name}", value)]
        return imo_command("overlap", *argv, *options, folder=output)

    return run


@pytest.fixture(scope="module")
def measured(overlap_script, tmp_path_factory):
    run = overlap_script(tmp_path_factory.mktemp("overlap"))
    assert run.status == 0, run.err
    return run


def test_measures_are_those_of_the_validation_features(measured, bench):
    content = json.loads((measured.folder / "overlap/digits/overlap.json").read_text())
    assert (content["dataset"], content["split"]) == ("Digits", "val (full)")
    assert {"none", "adapter"} <= set(content["corrections"])
    for name, correction in (("TipAdapter", "none"), ("TipAdapterPP", "adapter")):
        trainer = bench.trainer(name)
        queries = trainer.data.queries("val")
        features, labels = queries.corrected, queries.targets
        found = content["corrections"][correction]
        for key, value in asdict(imo.overlap(features, labels)).items():
            assert found["image"]["report"][key] == pytest.approx(value, abs=1e-5), key
        unit = torch.nn.functional.normalize(features, dim=-1) @ trainer.text.weights.T
        own = unit.gather(1, labels[:, None]).mean().item()
        assert found["text"]["report"]["paired"] == pytest.approx(own, abs=1e-5)
        assert sum(found["image"]["paired"]) == pytest.approx(1.0)
        assert {part["class"] for part in found["text"]["classes"]} == set(trainer.dm.dataset.classnames)
        assert (found["adapter_sha256"] is None) == (correction == "none")


def test_it_prints_a_table_and_leaves_pictures(measured):
    rows = [line for line in measured.out.splitlines() if line.startswith("| image-")]
    assert len(rows) == 2 * len(
        json.loads((measured.folder / "overlap/digits/overlap.json").read_text())["corrections"]
    )
    names = {path.name for path in (measured.folder / "overlap/digits").iterdir()}
    assert names == {"overlap.json", "image.png", "image.svg", "text.png", "text.svg"}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"dataset": "nonesuch"}, ("DATASET", "nonesuch")),
        ({"corrections": "magic"}, ("IMO.CORRECTION", "magic", "adapter")),
    ],
)
def test_bad_arguments(overlap_script, tmp_path, change, words):
    run = overlap_script(tmp_path / "output", **change)
    run.assert_refused(*words)
    assert not (tmp_path / "output").exists()
