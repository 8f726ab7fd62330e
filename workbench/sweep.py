"""Runs a plan (datasets x trainers x shots x seeds) as jobs, on this machine or a cluster.

    imo sweep --datasets digits mnist5k --trainers TipX TipXPP --shots 1 16 --seeds 1 2 3 --jobs 2
    imo sweep ... --adapter-dataset openimages --executor slurm --slurm partition=gpu gpus_per_node=1

Stages, each begun when the one before has ended: the adapters (with --adapter-dataset), one run of each trainer on each
dataset (which encodes what all its other runs share), everything else, the tables. A job is `scripts/runs.py` on one
dataset and one seed, since its runs share features; it skips finished runs, so a sweep that is started again goes on.
Two jobs of one dataset and seed never run at once, whoever started them: a lock in OUTPUT/sweep, which the system lets
go when its process ends, makes the second wait and then find the runs done.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from imo.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "workbench" / "runs.py"


@dataclass(frozen=True)
class Job:
    """A command, the log of what it prints, and the lock that it needs."""

    name: str
    command: tuple[str, ...]
    log: Path
    lock: Path


def execute(job: Job, environment: Mapping[str, str] | None = None) -> int:
    """Run a job's command under its lock. Returns its exit status; called where the executor puts it."""
    job.lock.parent.mkdir(parents=True, exist_ok=True)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(job.lock), open(job.log, "w", encoding="utf-8") as log:
        return subprocess.run(
            job.command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False
        ).returncode


class Sweep:
    """The jobs of a plan, by stage.

    Args:
        args: the command line's.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.folder = Path(args.output).resolve() / "sweep"
        self.adapter = args.adapter

    def command(self, dataset: str, trainers: Sequence[str], shots: Sequence[str], seeds: Sequence[str]) -> list[str]:
        """`scripts/runs.py` on a part of the plan."""
        args = self.args
        return [
            *(sys.executable, "-W", "ignore", str(RUNS), "--quiet", "--dataset", dataset),
            *("--trainers", *trainers, "--shots", *shots, "--seeds", *map(str, seeds), "--cfg", args.cfg),
            *("--data", args.data, "--output", args.output, "--adapter", self.adapter, "--backbone", args.backbone),
            *("--corrections", *args.corrections, "--validation", args.validation),
        ]

    def job(self, stage: str, part: str, command: Sequence[str]) -> Job:
        return Job(
            f"{stage}, {part}", tuple(command), self.folder / f"{part}-{stage}.log", self.folder / f"{part}.lock"
        )

    def adapter_jobs(self) -> list[Job]:
        """The training of the adapters, which every other job uses."""
        args = self.args
        command = self.command(args.adapter_dataset, ["IMOAdapter"], [args.adapter_shots], [args.adapter_seed])
        command[command.index("--cfg") + 1] = args.adapter_cfg
        self.adapter = str(Path(planned(command)[0]["folder"]).resolve() / "adapter.safetensors")
        return [self.job("adapter", f"{args.adapter_dataset}-seed{args.adapter_seed}", command)]

    def jobs(self) -> tuple[list[Job], list[Job]]:
        """One job a dataset that encodes what its runs share, and one a dataset and seed that does the rest."""
        first, rest = [], []
        for dataset in self.args.datasets:
            runs = planned(self.command(dataset, self.args.trainers, self.args.shots, self.args.seeds))
            seeds = list(dict.fromkeys(run["seed"] for run in runs))
            for seed in seeds:
                trainers = list(dict.fromkeys(run["trainer"] for run in runs if run["seed"] == seed))
                command = self.command(dataset, trainers, self.args.shots, [seed])
                rest.append(self.job("runs", f"{dataset}-seed{seed}", command))
                if seed == seeds[0]:
                    command = self.command(dataset, trainers, self.args.shots[:1], [seed])
                    first.append(self.job("encode", f"{dataset}-seed{seed}", command))
        return first, rest

    def tables(self) -> list[Job]:
        """One job a dataset: with every run finished, `scripts/runs.py` makes their table and does nothing else."""
        args = self.args
        return [
            self.job("table", dataset, self.command(dataset, args.trainers, args.shots, args.seeds))
            for dataset in args.datasets
        ]


def planned(command: Sequence[str]) -> list[dict[str, Any]]:
    """The runs of a command, as `scripts/runs.py --plan` lists them; it refuses what does not exist."""
    listed = subprocess.run([*command, "--plan"], capture_output=True, text=True, check=False)
    if listed.returncode:
        raise InputError((listed.stderr.strip().splitlines() or ["no message"])[-1].replace("error: ", ""))
    runs: list[dict[str, Any]] = json.loads(listed.stdout)
    return runs


Submit = Callable[[Job], Callable[[], int]]


def submitter(args: argparse.Namespace, folder: Path) -> Submit:
    """A function that hands a job over, and gives back one that waits for its status."""
    if args.executor == "processes":
        pool, turn, gpus = ThreadPoolExecutor(args.jobs), itertools.count(), torch.cuda.device_count()
        shared = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // args.jobs)), **os.environ}

        def submit(job: Job) -> Callable[[], int]:  # a thread only waits for the process of its job
            own = {"CUDA_VISIBLE_DEVICES": str(next(turn) % gpus)} if gpus > 1 else {}
            return pool.submit(execute, job, {**shared, **own}).result

        return submit
    try:
        import submitit
    except ImportError as error:
        raise InputError(f"--executor {args.executor} needs submitit; pip install submitit") from error
    try:
        executor = submitit.AutoExecutor(folder=folder / "submitit", cluster=args.executor)
        options = dict(option.split("=", 1) for option in args.slurm) if args.executor == "slurm" else {}
        known = ("timeout_min", "gpus_per_node", "cpus_per_task", "mem_gb", "nodes", "tasks_per_node")
        executor.update_parameters(
            timeout_min=args.minutes,
            **{name if name in known else f"slurm_{name}": _number(value) for name, value in options.items()},
        )
    except (RuntimeError, ValueError, NameError) as error:
        raise InputError(f"--executor {args.executor}: {str(error).splitlines()[0]}") from error
    return lambda job: executor.submit(execute, job).result


def _number(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def run_stage(jobs: Sequence[Job], submit: Submit) -> list[str]:
    """Do all jobs of a stage. Returns a line for each that failed; the others go on."""
    failed = []
    for job, wait in [(job, submit(job)) for job in jobs]:
        try:
            status = wait()
        except Exception as error:  # the executor's own: out of time, out of memory, a lost node
            status, reason = 1, str(error).strip().splitlines()[-1]
        else:
            lines = job.log.read_text(encoding="utf-8").strip().splitlines() if status else []
            reason = lines[-1] if lines else f"status {status}"
        print(f"{'failed' if status else 'done'}: {job.name}", flush=True)
        if status:
            failed.append(f"{job.name}: {reason} (log: {job.log})")
    return failed


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--datasets", nargs="+", required=True, help="files of configs/datasets, without .yaml")
    p.add_argument("--trainers", nargs="+", required=True)
    p.add_argument("--shots", nargs="+", required=True)
    p.add_argument("--seeds", nargs="+", default=["1", "2", "3"])
    p.add_argument("--corrections", nargs="*", default=["none"], help="of trainers that leave the choice")
    p.add_argument("--validation", default="", help="DATASET.VALIDATION: full, few, paper or support")
    p.add_argument("--cfg", default="", help="a file of configs/trainers/<Trainer>; by default each dataset's own")
    p.add_argument("--data", default=os.environ.get("DATA", str(ROOT / "data")))
    p.add_argument("--output", default=os.environ.get("OUTPUT", str(ROOT / "output")))
    p.add_argument("--adapter", default="", help="adapter file; by default the one that ships with the backbone")
    p.add_argument("--backbone", default="")
    p.add_argument("--adapter-dataset", default="", help="first train adapters on this dataset, and use them")
    p.add_argument("--adapter-cfg", default="", help="a file of configs/trainers/IMOAdapter")
    p.add_argument("--adapter-shots", default="200")
    p.add_argument("--adapter-seed", default="1")
    p.add_argument(
        "--executor", choices=("processes", "local", "slurm"), default="processes", help="the last two: submitit"
    )
    p.add_argument("--jobs", type=int, default=1, help="how many at once, for processes")
    p.add_argument("--minutes", type=int, default=24 * 60, help="a job's time limit, for submitit")
    p.add_argument("--slurm", nargs="*", default=[], metavar="NAME=VALUE", help="partition=..., gpus_per_node=..., ...")
    return p


def sweep(args: argparse.Namespace) -> list[str]:
    """Do the whole plan. Returns a line for each failed job."""
    if not RUNS.is_file():
        raise InputError(f"{RUNS}: not there; a sweep runs from a checkout, not from an installed package")
    if args.jobs < 1:
        raise InputError(f"--jobs: expected at least 1, got {args.jobs}")
    if args.adapter and args.adapter_dataset:
        raise InputError("--adapter, --adapter-dataset: give one of them")
    plan = Sweep(args)
    submit = submitter(args, plan.folder)
    if args.adapter_dataset:
        jobs = plan.adapter_jobs()
        plan.jobs()  # names that do not exist are refused before anything runs
        failed = run_stage(jobs, submit)
        if failed:
            return failed
    first, rest = plan.jobs()
    failed = run_stage(first, submit) + run_stage(rest, submit)
    return failed or run_stage(plan.tables(), submit)


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        failed = sweep(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
