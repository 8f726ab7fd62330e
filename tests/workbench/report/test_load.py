import numpy as np
import pytest
from reporting import make_analysis, make_run, make_study, overlap_of, write_analysis, write_study

from imo.errors import InputError
from imo.protocol import Protocol
from imo.results import AdapterTraining
from imo.workbench.report.load import gather


def test_runs_shifted_runs_and_analyses(tmp_path):
    shifted = make_run("TipX", 4, 1, 30.0, "Birds-blur-3", trained_on="Birds")
    write_study(tmp_path, [*make_study(), shifted])
    write_analysis(tmp_path, make_analysis())
    sources = gather(tmp_path)
    assert len(sources.runs) == len(make_study())
    assert [run.dataset for run in sources.shifted["Birds"]] == ["Birds-blur-3"]
    assert list(sources.analyses) == ["Birds"] and sources.skipped == []
    assert {run.shots for run in gather(tmp_path, ["ZeroshotCLIP"]).runs} == {0}
    with pytest.raises(InputError, match=r"--methods: there are no runs of 'TipY'.*TipX, TipXPP, ZeroshotCLIP"):
        gather(tmp_path, ["TipX", "TipY"])


def test_training_of_adapters_is_no_method(tmp_path):
    training = AdapterTraining(overlap={"none": overlap_of(0.5), "adapter": overlap_of(0.4)}, loss_curve=[(1, 2.0)])
    adapter = make_run("IMOAdapter", 200, 1, 90.0, "Glyphs", kind="adapter", correction="adapter", training=training)
    write_study(tmp_path, [make_run(), adapter])
    sources = gather(tmp_path)
    assert [run.trainer for run in sources.runs] == ["TipX"]
    assert [run.trainer for run in sources.adapters] == ["IMOAdapter"]


def test_files_that_cannot_be_read_are_left_out_and_named(tmp_path):
    write_study(tmp_path, [make_run()])
    for name, content in (("half", "{"), ("old", '{"schema_version": 1}'), ("strange", '{"schema_version": 2}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(content)
    analysis = make_analysis()
    analysis["corrections"]["none"]["image"]["paired"] = ["many"]
    write_analysis(tmp_path, analysis)
    sources = gather(tmp_path)
    assert [run.method for run in sources.runs] == ["TipX"]
    half, old, strange, birds = sources.skipped
    assert half.startswith("half/results.json: damaged")
    assert old.startswith("old/results.json: results of another version (schema 1, this is 2)")
    assert strange.startswith("strange/results.json: damaged (Object missing required field")
    assert birds.startswith("overlap/birds/overlap.json: not an overlap analysis") and "paired" in birds
    assert not any("\n" in line for line in sources.skipped)


def test_a_folder_of_nothing_but_old_results_says_so(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "results.json").write_text('{"schema_version": 1}')
    with pytest.raises(InputError, match=r"no finished runs below it.*left out: old/results\.json: .*schema 1"):
        gather(tmp_path)


def test_two_runs_of_the_same_are_refused(tmp_path):
    write_study(tmp_path, [make_run()])
    write_study(tmp_path / "copy", [make_run()])
    with pytest.raises(InputError, match=r"Digits/.*copy/.*|copy/.*Digits/.*two runs of the same"):
        gather(tmp_path)


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("backbone_sha256", "other", "'other'"),
        ("adapter_sha256", "other", "'other'"),
        ("protocol", Protocol("few", "val"), r"'val \(few\)' under 'few'"),
    ],
)
def test_seeds_of_other_weights_or_protocols_are_not_averaged(tmp_path, key, value, words):
    write_study(tmp_path, [make_run(seed=1), make_run(seed=2, **{key: value})])
    with pytest.raises(InputError, match=f"seed2: '{key}' is {words}, in .*seed1"):
        gather(tmp_path)


def test_an_empty_or_absent_folder_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=str(folder)):
            gather(folder)


def test_surfaces_are_read_without_unpickling(tmp_path, malicious_file):
    write_study(tmp_path, [make_run()])
    sources = gather(tmp_path)
    (run,) = sources.runs
    path = tmp_path / run.folder / "surface.npz"
    assert sources.surface(run) is None
    good = {"alphas": np.arange(3.0), "betas": np.arange(2.0), "gammas": np.zeros(1), "n": np.array(9)}
    np.savez(path, **good, correct=np.ones((3, 2, 1), np.int32))
    assert sources.surface(run)["correct"].shape == (3, 2, 1)
    objects = np.empty((3, 2, 1), dtype=object)
    for bad in ({"correct": np.ones((2, 3, 1))}, {"correct": objects}, {}):
        np.savez(path, **good, **bad)
        with pytest.raises(InputError, match=r"surface\.npz"):
            sources.surface(run)
    path.write_bytes(malicious_file[0].read_bytes())
    with pytest.raises(InputError, match=r"surface\.npz"):
        sources.surface(run)
    assert not malicious_file[1].exists()


def test_an_analysis_and_runs_of_other_images_are_not_put_together(tmp_path):
    write_study(tmp_path, [make_run(dataset="Birds", data={"test": "ab"})])
    write_analysis(tmp_path, {**make_analysis(), "data": "ab"})
    assert list(gather(tmp_path).analyses) == ["Birds"]
    write_analysis(tmp_path, {**make_analysis(), "data": "cd"})
    with pytest.raises(InputError, match="overlap of Birds: its test images are not those of Birds/"):
        gather(tmp_path)
