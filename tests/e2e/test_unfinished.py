"""What a run finds in its output folder: a finished run, a half-done one, the same or another."""

import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from bench import imo_command, make_dataset
from dassl.engine import TRAINER_REGISTRY

from imo.trainers.base import clip_trainer, inputs

SHORT = ("OPTIM.MAX_EPOCH", 3, "TRAIN.CHECKPOINT_FREQ", 1, "TRAIN.PRINT_FREQ", 1, "DATALOADER.TRAIN_X.BATCH_SIZE", 8)
NODE = "TRAINER.IMOADAPTER"
DINO = (
    *(f"{NODE}.OBJECTIVE", "dino", f"{NODE}.DINO.OUTPUT", 16, f"{NODE}.DINO.HIDDEN", 8, "OPTIM.LR", 1e-3),
    *(f"{NODE}.DINO.LOCAL_VIEWS", 1, f"{NODE}.DINO.LOCAL_SIZE", 16),
)
needs_lightly = pytest.mark.skipif(not importlib.util.find_spec("lightly"), reason="the extra dino is not installed")
RESUMED = [
    pytest.param("CoOp", (), "OPTIM.LR", id="CoOp"),
    pytest.param("CoCoOp", (), "TRAINER.COCOOP.N_CTX", id="CoCoOp"),
    pytest.param("IMOAdapter", (), f"{NODE}.SCALE", id="supervised"),
    pytest.param("IMOAdapter", DINO, f"{NODE}.DINO.MOMENTUM", id="dino", marks=needs_lightly),
]
OTHER = {"OPTIM.LR": 0.01, "TRAINER.COCOOP.N_CTX": 3, f"{NODE}.SCALE": 0.7, f"{NODE}.DINO.MOMENTUM": 0.7}


def kill(bench, trainer, *options, **more):
    """A run that SIGKILL ends in its second epoch. Returns its folder."""
    argv = bench.argv(trainer, *SHORT, *options, **more)
    folder = Path(argv[argv.index("--output-dir") + 1])
    pid = os.fork()
    if pid == 0:
        kind = TRAINER_REGISTRY.get(trainer)
        before_epoch = kind.before_epoch

        def stop(self):
            if self.epoch == 1:
                (folder / "stopped").touch()
                time.sleep(60)
            before_epoch(self)

        kind.before_epoch = stop
        bench.command(argv, folder)
        os._exit(1)
    while not (folder / "stopped").exists():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    (folder / "stopped").unlink()
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "log.txt" not in path.name}


def one_line(run):
    """What a refused command said."""
    said = [line for line in re.split(r"[\r\n]+", run.err) if line.strip() and not re.search(r"\d+%\|", line)]
    assert run.status == 2 and len(said) == 1, run.err
    return said[0]


def done_again(run):
    """Why a command did a finished run again."""
    assert run.status == 0, run.err
    said = [line for line in run.out.splitlines() if "it is done again" in line]
    assert len(said) == 1, run.out
    return said[0]


# Half-done runs.


@pytest.mark.parametrize("trainer, options, other", RESUMED)
def test_a_killed_run_goes_on_under_its_own_settings_alone(bench, trainer, options, other):
    folder = kill(bench, trainer, *options)
    before = contents(folder)
    assert before and not (folder / "results.json").exists()
    elsewhere = {"flags": ("--resume", folder), "output": bench.folder / "elsewhere"}
    for more in ({}, elsewhere):
        said = one_line(bench.main(trainer, *SHORT, *options, other, OTHER[other], **more))
        assert f"{folder}: " in said and re.search(rf"\({re.escape(other)} was \S+, is {OTHER[other]}\)", said)
    assert contents(folder) == before and not list(bench.folder.rglob("results.json"))
    for more in (elsewhere, {}):
        run = bench.main(trainer, *SHORT, *options, **more)
        assert run.status == 0, run.err
        assert "epoch [2/3]" in run.out and "epoch [1/3]" not in run.out


def test_the_best_epoch_before_the_kill_is_remembered(bench):
    options = ("TEST.FINAL_MODEL", "best_val")
    folder = kill(bench, "CoOp", *options)
    path = folder / "prompt_learner/model-best.pth.tar"
    content = torch.load(path, weights_only=True)
    torch.save({**content, "val_result": 100.0}, path)
    run = bench.main("CoOp", *SHORT, *options)
    assert run.status == 0, run.err
    assert run.results["val_accuracy"] == 100.0
    assert torch.equal(run.state("prompt_learner")["ctx"], content["state_dict"]["ctx"])


def cut(split):
    del split["test"][5:]


def rename(split):
    for part in split.values():
        part[:] = [[path, label, name.replace("zero", "nought")] for path, label, name in part]


@pytest.fixture(scope="module")
def half_done(assets, tmp_path_factory):
    """A bench with data and a backbone of its own, and a killed run of CoOp."""
    from bench import Bench

    made = Bench(assets, tmp_path_factory.mktemp("half_done"))
    made.copy_data()
    shutil.copy(assets.backbone, made.folder / "own.pt")
    kill(made, "CoOp", "MODEL.BACKBONE.NAME", made.folder / "own.pt")
    return made


@pytest.mark.parametrize(
    "change, words",
    [
        ({"options": ("OPTIM.LR", 0.01)}, "OPTIM.LR was 0.002, is 0.01"),
        ({"options": ("OPTIM.MAX_EPOCH", 4)}, "OPTIM.MAX_EPOCH was 3, is 4"),
        ({"options": ("TRAINER.COOP.N_CTX", 3)}, "TRAINER.COOP.N_CTX was 4, is 3"),
        ({"shots": 2}, "DATASET.NUM_SHOTS was 4, is 2; "),
        ({"seed": 2}, "SEED was 1, is 2; "),
        ({"backbone": 1}, "backbone_sha256 was "),
        ({"split": cut}, "(other content of image files; other test images or classes)"),
        ({"split": rename}, "(other support images or classes; other test images or classes; other validation"),
        ({"image": "train_0"}, "(other content of image files)"),
    ],
)
def test_each_kind_of_change_is_named(half_done, tmp_path, change, words):
    folder = Path(shutil.copytree(half_done.folder / "CoOp/tiny_4shots/seed1", tmp_path / "run"))
    backbone, split = half_done.folder / "own.pt", half_done.data / "digits/split.json"
    kept = {path: (path.read_bytes(), path.stat()) for path in (backbone, split, *split.parent.rglob("*.png"))}
    if "backbone" in change:
        state = torch.load(backbone, weights_only=True)
        torch.save({**state, "visual.proj": state["visual.proj"] + 1}, backbone)
    if "split" in change:
        content = json.loads(split.read_text())
        change["split"](content)
        split.write_text(json.dumps(content))
    if "image" in change:
        for path in split.parent.rglob(f"{change['image']}*.png"):
            os.utime(path, ns=(1, 1))
    more = {name: change[name] for name in ("shots", "seed") if name in change}
    options = (*SHORT, "MODEL.BACKBONE.NAME", backbone, *change.get("options", ()))
    try:
        said = one_line(half_done.main("CoOp", *options, output=folder, **more))
    finally:
        for path, (content, status) in kept.items():
            path.write_bytes(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert words in said and "other settings or weights" in said and "--output-dir" in said
    assert not (folder / "results.json").exists()


def test_a_half_done_run_is_begun_anew_on_request(bench):
    folder = kill(bench, "CoOp")
    run = bench.main("CoOp", *SHORT, "OPTIM.LR", 0.01, flags=("--redo",))
    assert run.status == 0, run.err
    assert "epoch [1/3]" in run.out and run.folder == folder
    assert run.results["options"]["OPTIM.LR"] == "0.01"


def test_resume_needs_a_checkpoint(bench, finished):
    (bench.folder / "empty").mkdir()
    for folder in (bench.folder / "none", bench.folder / "empty", finished("TipX").folder):
        bench.main("CoOp", *SHORT, flags=("--resume", folder)).assert_refused("--resume", "no checkpoint", str(folder))
    bench.main("TipX", flags=("--resume", finished("TipX").folder)).assert_refused("--resume", "TipX", "omit")
    bench.main("CoOp", flags=("--redo", "--resume", bench.folder)).assert_refused("REDO", "--resume")


@pytest.mark.parametrize("note", ("", "model.pth.tar-9", "../../elsewhere", "\0"))
def test_a_damaged_note_of_the_last_checkpoint(bench, half_done, note):
    folder = Path(shutil.copytree(half_done.folder / "CoOp/tiny_4shots/seed1", bench.folder / "run"))
    (folder / "prompt_learner/checkpoint").write_text(note)
    bench.main("CoOp", *SHORT, output=folder).assert_refused("--resume", str(folder), "damaged")


def test_a_checkpoint_without_a_record_is_not_gone_on_with(bench, half_done):
    folder = Path(shutil.copytree(half_done.folder / "CoOp/tiny_4shots/seed1", bench.folder / "run"))
    path = folder / "prompt_learner/model.pth.tar-1"
    content = torch.load(path, weights_only=True)
    del content["state_dict"]["record._extra_state"]
    torch.save(content, path)
    bench.main("CoOp", *SHORT, output=folder).assert_refused(str(folder), "not recorded")


# Finished runs.


@pytest.mark.parametrize("trainer", ("TipXPP", "TaskRes", "CoOp", "IMOAdapter"))
def test_a_finished_run_is_skipped(bench, monkeypatch, trainer):
    assert bench.main(trainer, *SHORT).status == 0
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in bench.folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(clip_trainer, "load_clip", None)  # nothing is loaded
    again = bench.main(trainer, *SHORT, "DATALOADER.NUM_WORKERS", 1)
    assert (again.status, again.out) == (0, f"{again.folder}: finished already; --redo does it again\n")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert len([path for path in bench.folder.rglob("*") if path.is_file()]) == len(before)
    said = one_line(bench.main(trainer, *SHORT, "INPUT.INTERPOLATION", "bilinear"))
    assert str(again.folder) in said and "INPUT.INTERPOLATION was bicubic, is bilinear" in said
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_a_trainer_in_another_train_py_skips_as_well(bench):
    made = bench.trainer("TipX")
    before, out = contents(bench.folder), io.StringIO()
    with contextlib.redirect_stdout(out):
        made.train()
    assert "finished already" in out.getvalue() and contents(bench.folder) == before


def test_a_finished_run_is_done_anew_on_request(bench):
    first = bench.main("CoOp", *SHORT)
    results = first.results
    again = bench.main("CoOp", *SHORT, flags=("--redo",))
    assert again.status == 0 and "epoch [1/3]" in again.out
    assert again.results["accuracy"] == results["accuracy"]
    assert bench.main("CoOp", *SHORT, "IMO.REDO", "True", shots=2, output=first.folder).results["shots"] == 2


def test_results_are_withdrawn_before_a_run_that_replaces_them(bench):
    """Killed in its middle, it leaves no results beside another's state."""
    folder = bench.main("CoOp", *SHORT).folder
    assert kill(bench, "CoOp", flags=("--redo",), shots=2, output=folder) == folder
    assert not (folder / "results.json").exists()
    assert sorted(path.name for path in (folder / "prompt_learner").iterdir()) == ["checkpoint", "model.pth.tar-1"]
    assert "DATASET.NUM_SHOTS was 2, is 4" in one_line(bench.main("CoOp", *SHORT, output=folder))


def test_results_of_a_test_are_withdrawn_before_the_next(bench, finished, monkeypatch):
    flags, output = ("--eval-only", "--model-dir", finished("TipX").folder), bench.folder / "test"
    assert bench.main("TipX", flags=flags, output=output).status == 0

    def stop(self, split=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(TRAINER_REGISTRY.get("TipX"), "test", stop)
    assert bench.main("TipX", flags=flags, output=output).status == 130
    assert not (output / "results.json").exists()


@pytest.fixture
def compare(bench):
    """compare(): two runs of Tip-X on data of their own, each with a test on other data."""
    digits = bench.copy_data()
    make_dataset(bench.data, "mnist5k", seed=3)

    def run():
        words = ("--trainers", "TipX", "--dataset", "digits", "--shots", 1, 2, "--seeds", 1, "--targets", "mnist5k")
        places = ("--data", bench.data, "--output", bench.folder / "out", "--backbone", bench.assets.backbone)
        return imo_command("compare", *words, *places, "--cfg", "glyph", "--quiet", folder=bench.folder / "out")

    first = run()
    assert first.status == 0, first.err
    return run, digits


def change_split(digits, change):
    content = json.loads((digits / "split.json").read_text())
    change(content)
    (digits / "split.json").write_text(json.dumps(content))


def counts(folder):
    return sorted(json.loads(path.read_text())["n_test"] for path in folder.rglob("results.json"))


def test_scripts_skip_runs_of_the_same_data_alone(compare):
    run, digits = compare
    again = run()
    assert "4 of 4 runs are finished already" in again.out and "done again" not in again.out
    change_split(digits, cut)
    again = run()
    assert again.status == 0, again.err
    assert again.out.count("other test images or classes; it is done again") == 2
    assert "finished already" not in again.out  # nor are the tests of states that were made anew
    assert counts(again.folder) == [5, 5, 20, 20]
    assert "4 of 4 runs are finished already" in run().out


@pytest.mark.parametrize(
    "change, count",
    [
        (lambda digits: change_split(digits, rename), 4),
        (lambda digits: os.utime(digits / "images/0/test_0.png", ns=(1, 1)), 4),
        (lambda digits: os.utime(digits / "images/0/val_0.png", ns=(1, 1)), 4),
        (lambda digits: os.utime(digits.parent / "mnist5k/images/0/test_0.png", ns=(1, 1)), 2),
    ],
)
def test_scripts_notice_what_runs_depend_on(compare, change, count):
    run, digits = compare
    change(digits)
    again = run()
    skipped = re.search(r"(\d) of 4 runs are finished already", again.out)
    assert 4 - int(skipped[1] if skipped else 0) == count
    assert again.status == 0 or "other classes" in again.err  # of the target, where this dataset's have new names


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda result: result.pop("options"), "by an earlier version, which did not note"),
        (lambda result: result["options"].update(NUMBERS_VERSION="0"), "(NUMBERS_VERSION was 0, is 1)"),
    ],
)
def test_results_of_an_earlier_version_are_done_again(bench, monkeypatch, change, words):
    monkeypatch.setattr(inputs, "NUMBERS_VERSION", 1)
    run = bench.main("TipX")
    result = run.results
    accuracy = result["accuracy"]
    change(result)
    (run.folder / "results.json").write_text(json.dumps({**result, "accuracy": 0.0}))
    again = bench.main("TipX")
    assert words in done_again(again) and again.results["accuracy"] == accuracy


# States.


@pytest.mark.parametrize("value", (float("nan"), float("inf")))
@pytest.mark.parametrize(
    "trainer, change",
    [
        ("TipX", lambda state, value: state["keys"].__setitem__((0, 0), value)),
        ("TipX", lambda state, value: state["_extra_state"]["settings"].update(alpha=value)),
        ("CoOp", lambda state, value: state["ctx"].__setitem__((0, 0), value)),
    ],
)
def test_a_state_that_is_not_finite(bench, finished, trainer, change, value):
    folder = Path(shutil.copytree(finished(trainer).folder, bench.folder / "state"))
    for path in (*folder.glob("*/model-best.pth.tar"), *folder.glob("*/model.pth.tar-*")):
        content = torch.load(path, weights_only=True)
        change(content["state_dict"], value)
        torch.save(content, path)
    flags = ("--eval-only", "--model-dir", folder)
    bench.main(trainer, flags=flags, output=bench.folder / "out").assert_refused(str(path.parent), "NaN or infinite")
    if trainer == "CoOp":
        (folder / "results.json").unlink()
        bench.main(trainer, output=folder).assert_refused(str(path.parent), "NaN or infinite")


def test_a_test_names_what_its_state_was_made_with(bench, finished, assets):
    flags = ("--eval-only", "--model-dir", bench.main("TaskRes", *SHORT).folder)
    out = {"output": bench.folder / "out", "flags": flags}
    refused = bench.main("TaskRes", *SHORT, "TRAINER.TASKRES.RESIDUAL_SCALE", 0.7, **out)
    assert "TRAINER.TASKRES.RESIDUAL_SCALE was 0.5, is 0.7" in one_line(refused)
    other = bench.main("TaskRes", *SHORT, "OPTIM.LR", 0.3, shots=2, seed=5, **out)
    assert "was made with other options" in other.out and re.search(r"OPTIM.LR was \S+, is 0.3", other.out)
    assert (other.results["shots"], other.results["seed"]) == (4, 1)
    assert other.results["data"]["state"]

    state = torch.load(assets.backbone, weights_only=True)
    torch.save({**state, "visual.proj": state["visual.proj"] + 1}, bench.folder / "other.pt")
    out["flags"] = ("--eval-only", "--model-dir", finished("CoOp").folder)
    refused = bench.main("CoOp", "MODEL.BACKBONE.NAME", bench.folder / "other.pt", **out)
    assert "backbone_sha256 was " in one_line(refused)
