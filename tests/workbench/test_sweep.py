"""A sweep's jobs, their order, locks and failures; a script of a few lines stands for `imo compare`."""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imo.errors import InputError
from imo.locks import holding
from imo.workbench import cli, sweep
from imo.workbench.commands.sweep import add_arguments
from imo.workbench.plan import Run

STAND_IN = """
import json, sys, time
from argparse import ArgumentParser
from pathlib import Path
p = ArgumentParser()
p.add_argument("compare")
for name in ("dataset", "cfg", "data", "output", "adapter", "backbone", "validation"):
    p.add_argument("--" + name, default="")
for name in ("trainers", "shots", "seeds", "corrections"):
    p.add_argument("--" + name, nargs="+")
p.add_argument("--quiet", action="store_true", required=True)
a = p.parse_args()
for t in a.trainers:
    for k, s in [("0", a.seeds[0])] if t == "ZeroshotCLIP" else [(k, s) for k in a.shots for s in a.seeds]:
        folder = Path(a.output, a.dataset, t, k, s)
        if (folder / "results.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        if t == "Broken":
            sys.exit("error: it is broken")
        with open(Path(a.output) / "order", "a") as order:
            order.write(json.dumps([a.dataset, t, k, s, a.adapter]) + "\\n")
        time.sleep(0.05)
        (folder / "results.json").write_text("{}")
        if t == "IMOAdapter":
            (folder / "adapter.safetensors").write_text("")
"""
PLAN = ("--trainers", "ZeroshotCLIP", "TipX", "--shots", "2", "1", "--seeds", "4", "5", "--data", "d")


def plan(request, dataset):
    """The runs that the stand-in does."""
    if dataset == "nonesuch":
        raise InputError("DATASET: no nonesuch.yaml")
    cells = [
        (trainer, shots, seed)
        for trainer in request.trainers
        for shots, seed in (
            [("0", request.seeds[0])]
            if trainer == "ZeroshotCLIP"
            else [(shots, seed) for shots in request.shots for seed in request.seeds]
        )
    ]
    return [
        Run(dataset, trainer, "", int(shots), int(seed), Path(request.output, dataset, trainer, shots, seed), [])
        for trainer, shots, seed in cells
    ]


def arguments(*argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(argv)


def main(*argv):
    return cli.main(["sweep", *argv])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The output folder; jobs run the stand-in."""
    script = tmp_path / "compare.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(sweep, "plan", plan)
    monkeypatch.setattr(sweep, "command", lambda *words: (sys.executable, "-S", str(script), *words))
    return tmp_path / "output"


def done(output):
    return [json.loads(line) for line in (output / "order").read_text().splitlines()]


def test_every_run_once_and_the_shared_part_first(place, capsys):
    assert main("--datasets", "one", "two", *PLAN, "--output", str(place)) == 0
    runs = [tuple(run[:4]) for run in done(place)]
    cells = [("ZeroshotCLIP", "0", "4")] + [("TipX", shots, seed) for shots in "12" for seed in "45"]
    assert sorted(runs) == sorted((dataset, *cell) for dataset in ("one", "two") for cell in cells)
    assert {run[1:] for run in runs[:4]} == {("ZeroshotCLIP", "0", "4"), ("TipX", "2", "4")}
    assert "table, two" in capsys.readouterr().out
    assert main("--datasets", "one", "two", *PLAN, "--output", str(place)) == 0  # a restart has nothing to do
    assert len(done(place)) == len(runs)


def test_adapters_are_trained_first_and_used(place):
    args = ["--datasets", "one", *PLAN, "--output", str(place), "--adapter-dataset", "generic", "--adapter-shots", "9"]
    assert main(*args) == 0
    first, *others = done(place)
    assert first == ["generic", "IMOAdapter", "9", "1", ""]
    assert {run[4] for run in others} == {str(place / "generic/IMOAdapter/9/1/adapter.safetensors")}


def test_failed_job_is_reported_and_the_rest_goes_on(place, capsys):
    args = ["--datasets", "one", "--trainers", "TipX", "Broken", "--shots", "1", "--seeds", "4", "5", "--data", "d"]
    assert main(*args, "--output", str(place)) == 1
    out, err = capsys.readouterr()
    assert [run[1:4] for run in done(place)] == [["TipX", "1", "4"], ["TipX", "1", "5"]]
    lines = err.splitlines()
    assert len(lines) == 3 and all("error: it is broken" in line for line in lines)
    log = Path(lines[0].split("(log: ")[1].rstrip(")"))
    assert "it is broken" in log.read_text()
    assert "table" not in out


@pytest.mark.parametrize(
    "change, words",
    [
        (("--datasets", "nonesuch"), "no nonesuch.yaml"),
        (("--jobs", "0"), "--jobs"),
        (("--adapter", "a", "--adapter-dataset", "b"), "--adapter-dataset"),
    ],
)
def test_bad_arguments(place, capsys, change, words):
    assert main("--datasets", "one", *PLAN, "--output", str(place), *change) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and words in err and err.count("\n") == 1
    assert not place.exists()


def test_two_sweeps_do_no_run_twice(place):
    argv = ["--datasets", "one", "two", *PLAN, "--output", str(place), "--jobs", "2"]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda argv: main(*argv), [argv, argv])) == [0, 0]
    runs = [tuple(run) for run in done(place)]
    assert len(runs) == len(set(runs)) == 10


def test_a_killed_sweep_s_job_keeps_its_lock(tmp_path, capfd):
    """The next sweep waits for it, says for whom, and does not run the same job beside it."""
    work = "import time; say = open({!r}, 'ab', 0).write; say(b'begun '); time.sleep(4); say(b'done ')"
    one = job(tmp_path, "a", work.format(str(tmp_path / "order")))
    execute = f"import sys; sys.path[:0] = {sys.path!r}; from imo.workbench import sweep; sweep.execute(sweep.{one!r})"
    killed = subprocess.Popen([sys.executable, "-c", execute.replace("PosixPath", "__import__('pathlib').Path")])
    wait_for(lambda: one.log.exists() and "begun" in order(tmp_path))
    killed.kill()
    killed.wait()
    with holding(one.lock) as handle:
        assert handle is None
    assert sweep.execute(one) == 0
    assert order(tmp_path) == "begun done begun done "
    assert re.search(r"^waiting: a: process \d+ on \S+ is at it, and has the lock .*a.lock$", capfd.readouterr().out)


def order(folder):
    path = folder / "order"
    return path.read_text() if path.exists() else ""


def wait_for(condition, seconds=60):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds
        time.sleep(0.05)


def test_a_lock_ends_with_its_job(tmp_path):
    one = job(tmp_path, "a", "print('ran')")
    holder = f"import sys; sys.path[:0] = {sys.path!r}; from imo.locks import holding; import time\n"
    holder += f"with holding({str(one.lock)!r}):\n print('held', flush=True)\n time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"held"
    with holding(one.lock) as handle:
        assert handle is None
    process.kill()  # a machine that went down leaves no lock
    process.wait()
    assert sweep.execute(one) == 0 and one.log.read_text() == "ran\n"


def job(folder, name, code):
    return sweep.Job(name, (sys.executable, "-S", "-c", code), folder / f"{name}.log", folder / f"{name}.lock")


@pytest.mark.skipif(not importlib.util.find_spec("submitit"), reason="the extra sweep is not installed")
def test_submitits_local_executor(tmp_path, monkeypatch):
    """Also from a folder with files that are named like what it imports."""
    monkeypatch.setenv("PYTHONSAFEPATH", "")  # is set by it; taken back after the test
    (tmp_path / "here").mkdir()
    for name in ("submitit", "cloudpickle", "imo", "runpy"):
        (tmp_path / "here" / f"{name}.py").write_text("raise AssertionError('not ours')")
    monkeypatch.chdir(tmp_path / "here")
    argv = ["--datasets", "one", *PLAN, "--executor", "local", "--minutes", "5"]
    with sweep.executor(arguments(*argv), tmp_path) as submit:
        assert sweep.run_stage([job(tmp_path, "a", "print('ran')")], submit) == []
    assert (tmp_path / "a.log").read_text() == "ran\n"
    assert list((tmp_path / "submitit").glob("*_result.pkl"))


def test_jobs_take_turns_on_the_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep.torch.cuda, "device_count", lambda: 2)
    jobs = [job(tmp_path, str(i), "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])") for i in range(3)]
    with sweep.processes(2) as submit:
        assert sweep.run_stage(jobs, submit) == []
    assert [job.log.read_text().strip() for job in jobs] == ["0", "1", "0"]


def test_an_interrupt_ends_what_runs_and_begins_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "PATIENCE", 0.1)
    running = job(tmp_path, "running", "import time; print('begun', flush=True); time.sleep(600)")
    locked, waiting = job(tmp_path, "locked", "print('ran')"), job(tmp_path, "waiting", "print('ran')")
    begun = time.monotonic()
    with holding(locked.lock), pytest.raises(KeyboardInterrupt), sweep.processes(2) as submit:
        for one in (running, locked, waiting):
            submit(one)
        while not running.log.exists() or "begun" not in running.log.read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 30
    assert "KeyboardInterrupt" in running.log.read_text()
    assert not waiting.log.exists() and not (locked.log.exists() and locked.log.read_text())


def test_executor_without_its_package(place, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert main("--datasets", "one", *PLAN, "--output", str(place), "--executor", "local") == 2
    assert "pip install submitit" in capsys.readouterr().err
