"""A sweep's jobs, their order, locks and failures; a script of a few lines stands for scripts/runs.py."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from imo.errors import InputError
from imo.workbench import sweep

STAND_IN = """
import json, sys, time
from argparse import ArgumentParser
from pathlib import Path
p = ArgumentParser()
for name in ("dataset", "cfg", "data", "output", "adapter", "backbone", "validation"):
    p.add_argument("--" + name, default="")
for name in ("trainers", "shots", "seeds", "corrections"):
    p.add_argument("--" + name, nargs="+")
for name in ("quiet", "plan"):
    p.add_argument("--" + name, action="store_true")
a = p.parse_args()
if a.dataset == "nonesuch":
    sys.exit("error: DATASET: no nonesuch.yaml")
cells = [(t, k, s) for t in a.trainers for k, s in
         ([("0", a.seeds[0])] if t == "ZeroshotCLIP" else [(k, s) for k in a.shots for s in a.seeds])]
runs = [{"trainer": t, "shots": k, "seed": s, "folder": f"{a.output}/{a.dataset}/{t}/{k}/{s}"} for t, k, s in cells]
if a.plan:
    print(json.dumps(runs))
    sys.exit()
for run in runs:
    folder = Path(run["folder"])
    if (folder / "results.json").exists():
        continue
    folder.mkdir(parents=True, exist_ok=True)
    if run["trainer"] == "Broken":
        sys.exit("error: it is broken")
    with open(Path(a.output) / "order", "a") as order:
        order.write(json.dumps([a.dataset, run["trainer"], run["shots"], run["seed"], a.adapter]) + "\\n")
    time.sleep(0.05)
    (folder / "results.json").write_text("{}")
    if run["trainer"] == "IMOAdapter":
        (folder / "adapter.safetensors").write_text("")
"""
PLAN = ("--trainers", "ZeroshotCLIP", "TipX", "--shots", "2", "1", "--seeds", "4", "5", "--data", "d")


def test_plan_of_the_real_script(tmp_path):
    argv = ["--datasets", "digits", *PLAN, "--output", str(tmp_path)]
    args = sweep.parser().parse_args(argv)
    runs = sweep.planned(sweep.Sweep(args).command("digits", args.trainers, args.shots, args.seeds))
    cells = [("ZeroshotCLIP", 0, 4)] + [("TipX", shots, seed) for shots in (2, 1) for seed in (4, 5)]
    assert [(run["trainer"], run["shots"], run["seed"]) for run in runs] == cells
    assert {run["dataset"] for run in runs} == {"digits"} and not any(tmp_path.iterdir())
    assert Path(runs[0]["folder"]) == tmp_path / "digits/ZeroshotCLIP/glyph_0shots/seed4"
    args.trainers = ["Nonesuch"]
    with pytest.raises(InputError, match="Nonesuch"):
        sweep.planned(sweep.Sweep(args).command("digits", args.trainers, args.shots, args.seeds))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The output folder; jobs run the stand-in."""
    script = tmp_path / "runs.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(sweep, "RUNS", script)
    return tmp_path / "output"


def done(output):
    return [json.loads(line) for line in (output / "order").read_text().splitlines()]


def test_every_run_once_and_the_shared_part_first(place, capsys):
    assert sweep.main(["--datasets", "one", "two", *PLAN, "--output", str(place)]) == 0
    runs = [tuple(run[:4]) for run in done(place)]
    cells = [("ZeroshotCLIP", "0", "4")] + [("TipX", shots, seed) for shots in "12" for seed in "45"]
    assert sorted(runs) == sorted((dataset, *cell) for dataset in ("one", "two") for cell in cells)
    assert {run[1:] for run in runs[:4]} == {("ZeroshotCLIP", "0", "4"), ("TipX", "2", "4")}
    assert "table, two" in capsys.readouterr().out
    assert sweep.main(["--datasets", "one", "two", *PLAN, "--output", str(place)]) == 0  # a restart has nothing to do
    assert len(done(place)) == len(runs)


def test_adapters_are_trained_first_and_used(place):
    args = ["--datasets", "one", *PLAN, "--output", str(place), "--adapter-dataset", "generic", "--adapter-shots", "9"]
    assert sweep.main(args) == 0
    first, *others = done(place)
    assert first == ["generic", "IMOAdapter", "9", "1", ""]
    assert {run[4] for run in others} == {str(place / "generic/IMOAdapter/9/1/adapter.safetensors")}


def test_failed_job_is_reported_and_the_rest_goes_on(place, capsys):
    args = ["--datasets", "one", "--trainers", "TipX", "Broken", "--shots", "1", "--seeds", "4", "5", "--data", "d"]
    assert sweep.main([*args, "--output", str(place)]) == 1
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
    assert sweep.main(["--datasets", "one", *PLAN, "--output", str(place), *change]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and words in err and err.count("\n") == 1
    assert not place.exists()


def test_two_sweeps_do_no_run_twice(place):
    code = (
        f"import sys; from pathlib import Path; from imo.workbench import sweep; "
        f"sweep.RUNS = Path({str(sweep.RUNS)!r}); "
        f"sys.exit(sweep.main(sys.argv[1:]))"
    )
    args = [sys.executable, "-c", code, "--datasets", "one", "two", *PLAN, "--output", str(place), "--jobs", "2"]
    both = [subprocess.Popen(args, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    runs = [tuple(run) for run in done(place)]
    assert len(runs) == len(set(runs)) == 10


def test_a_job_waits_for_its_lock(tmp_path):
    job = sweep.Job("a", (sys.executable, "-c", "print('ran')"), tmp_path / "log", tmp_path / "lock")
    holder = (
        f"from filelock import FileLock\nimport time\n"
        f"with FileLock({str(job.lock)!r}):\n print('held', flush=True)\n time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"held"
    with pytest.raises(TimeoutError), FileLock(job.lock, timeout=0.1):
        pass
    process.kill()  # a machine that went down leaves no lock
    process.wait()
    begun = time.monotonic()
    assert sweep.execute(job) == 0
    assert time.monotonic() - begun < 30 and job.log.read_text() == "ran\n"


@pytest.mark.skipif(not importlib.util.find_spec("submitit"), reason="the extra sweep is not installed")
def test_submitits_local_executor(place, tmp_path):
    args = ["--datasets", "one", "--trainers", "TipX", "--shots", "1", "--seeds", "4", "--data", "d"]
    assert sweep.main([*args, "--output", str(place), "--executor", "local", "--minutes", "5"]) == 0
    assert len(done(place)) == 1
    assert list((place / "sweep/submitit").glob("*_result.pkl"))


def test_jobs_take_turns_on_the_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep.torch.cuda, "device_count", lambda: 2)
    args = sweep.parser().parse_args(["--datasets", "one", *PLAN, "--jobs", "2"])
    submit = sweep.submitter(args, tmp_path)
    code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    jobs = [
        sweep.Job(str(i), (sys.executable, "-c", code), tmp_path / f"{i}.log", tmp_path / f"{i}.lock") for i in range(3)
    ]
    assert sweep.run_stage(jobs, submit) == []
    assert [job.log.read_text().strip() for job in jobs] == ["0", "1", "0"]


def test_executor_without_its_package(place, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert sweep.main(["--datasets", "one", *PLAN, "--output", str(place), "--executor", "local"]) == 2
    assert "pip install submitit" in capsys.readouterr().err
