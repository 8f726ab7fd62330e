"""Runs a plan (datasets x trainers x shots x seeds) as jobs, on this machine or a cluster.

Stages, each begun when the one before has ended: the adapters (where they are asked for), one run of each trainer on
each dataset (which encodes what all its other runs share), everything else, the tables. A job is `imo compare` on one
dataset and one seed, since its runs share features; it skips finished runs, so a sweep that is started again goes on.
Two jobs of one dataset and seed never run at once, whoever started them: a lock in OUTPUT/sweep makes the second wait
and then find the runs done. The job's own process has the lock, too, so that it stays locked where the sweep is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import platform
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from imo.errors import InputError, reason
from imo.files import not_following
from imo.locks import holding
from imo.workbench.places import command, python
from imo.workbench.plan import Request, plan

PATIENCE = 2.0  # seconds for a job to end by itself: Ctrl-C in a terminal reaches it, too


@dataclass(frozen=True)
class Job:
    """A command, the log of what it prints, and the lock that it needs."""

    name: str
    command: tuple[str, ...]
    log: Path
    lock: Path


Submit = Callable[[Job], Callable[[], int]]  # hands a job over, and gives a function that waits for its status


@dataclass
class Running:
    """The processes of the jobs that run on this machine, and whether no more may begin."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    stopped: bool = False

    def stop(self) -> None:
        """Interrupt the processes."""
        self.stopped = True
        for process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)


def execute(job: Job, environment: Mapping[str, str] | None = None, running: Running | None = None) -> int:
    """Run a job's command under its lock. Returns its exit status; called where the executor puts it."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    running, said = running or Running(), False
    while not running.stopped:
        with holding(job.lock) as lock:
            if lock is not None:
                with open(job.log, "w", encoding="utf-8", opener=not_following) as log:
                    process = subprocess.Popen(
                        job.command, stdout=log, stderr=subprocess.STDOUT, env=environment, pass_fds=(lock,)
                    )
                running.processes.append(process)
                with contextlib.suppress(OSError):  # for those who wait
                    job.lock.write_text(f"process {process.pid} on {platform.node()}\n", encoding="utf-8")
                return process.wait()
        if not said:
            holder = job.lock.read_text(encoding="utf-8").strip() or "another"
            print(f"waiting: {job.name}: {holder} is at it, and has the lock {job.lock}", flush=True)
            said = True
        time.sleep(PATIENCE / 4)
    return 130


def sweep(args: argparse.Namespace) -> list[str]:
    """Do the whole plan that the arguments of `imo sweep` ask for. Returns a line for each failed job.

    Raises:
        InputError: what the user can mend; then no job was begun.
    """
    if args.jobs < 1:
        raise InputError(f"--jobs: expected at least 1, got {args.jobs}")
    if args.adapter and args.adapter_dataset:
        raise InputError("--adapter, --adapter-dataset: give one of them")
    request, folder = Request.of(args), Path(args.output).resolve() / "sweep"
    with executor(args, folder) as submit:
        if args.adapter_dataset:
            job, file = adapter_job(args, request, folder)
            jobs(request, args.datasets, folder)  # names that do not exist are refused before anything runs
            failed = run_stage([job], submit)
            if failed:
                return failed
            request = replace(request, adapter=file)
        first, rest = jobs(request, args.datasets, folder)
        failed = run_stage(first, submit) + run_stage(rest, submit)
        return failed or run_stage([_job("table", name, request, name, folder) for name in args.datasets], submit)


def adapter_job(args: argparse.Namespace, request: Request, folder: Path) -> tuple[Job, str]:
    """The training of the adapters, and the file that it leaves, which every other job uses."""
    training = replace(
        request, trainers=["IMOAdapter"], shots=[args.adapter_shots], seeds=[args.adapter_seed], cfg=args.adapter_cfg
    )
    file = plan(training, args.adapter_dataset)[0].folder.resolve() / "adapter.safetensors"
    part = f"{args.adapter_dataset}-seed{args.adapter_seed}"
    return _job("adapter", part, training, args.adapter_dataset, folder), str(file)


def jobs(request: Request, datasets: Sequence[str], folder: Path) -> tuple[list[Job], list[Job]]:
    """One job a dataset that encodes what its runs share, and one a dataset and seed that does the rest."""
    first, rest = [], []
    for dataset in datasets:
        runs = plan(request, dataset)
        seeds = list(dict.fromkeys(run.seed for run in runs))
        for seed in seeds:
            trainers = list(dict.fromkeys(run.trainer for run in runs if run.seed == seed))
            part, own = f"{dataset}-seed{seed}", replace(request, trainers=trainers, seeds=[str(seed)])
            rest.append(_job("runs", part, own, dataset, folder))
            if seed == seeds[0]:
                shared = replace(own, shots=request.shots[:1])
                first.append(_job("encode", part, shared, dataset, folder))
    return first, rest


def _job(stage: str, part: str, request: Request, dataset: str, folder: Path) -> Job:
    words = command("compare", "--quiet", *request.words(dataset))
    return Job(f"{stage}, {part}", words, folder / f"{part}-{stage}.log", folder / f"{part}.lock")


@contextlib.contextmanager
def executor(args: argparse.Namespace, folder: Path) -> Iterator[Submit]:
    """What jobs are handed to: processes of this machine, or submitit.

    Raises:
        InputError: submitit is not there, or does not take the options.
    """
    if args.executor == "processes":
        with processes(args.jobs) as submit:
            yield submit
        return
    try:
        import submitit
    except ImportError as error:
        raise InputError(f"--executor {args.executor} needs submitit; pip install submitit") from error
    os.environ["PYTHONSAFEPATH"] = "1"  # for the process with which submitit's own local executor begins
    try:
        # submitit adds "-u -m submitit.core._submit FOLDER", by which Python would import from where the user stands.
        safe = python("import runpy; sys.argv = sys.argv[3:]; runpy.run_module(sys.argv[0], run_name='__main__')")
        submitter = submitit.AutoExecutor(
            folder=folder / "submitit", cluster=args.executor, **{f"{args.executor}_python": shlex.join(safe)}
        )
        options = dict(option.split("=", 1) for option in args.slurm) if args.executor == "slurm" else {}
        known = ("timeout_min", "gpus_per_node", "cpus_per_task", "mem_gb", "nodes", "tasks_per_node")
        submitter.update_parameters(
            timeout_min=args.minutes,
            **{name if name in known else f"slurm_{name}": _number(value) for name, value in options.items()},
        )
    except (RuntimeError, ValueError, NameError) as error:
        raise InputError(f"--executor {args.executor}: {reason(error)}") from error
    yield lambda job: submitter.submit(execute, job).result


def _number(text: str) -> int | str:
    return int(text) if text.isdigit() else text


@contextlib.contextmanager
def processes(count: int) -> Iterator[Submit]:
    """`count` jobs at once as processes, taking turns on the GPUs. An interrupt ends those that run, and begins no
    more."""
    pool, turn, gpus = ThreadPoolExecutor(count), itertools.count(), torch.cuda.device_count()
    shared = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)), **os.environ}
    running = Running()

    def submit(job: Job) -> Callable[[], int]:  # a thread only waits for the process of its job
        own = {"CUDA_VISIBLE_DEVICES": str(next(turn) % gpus)} if gpus > 1 else {}
        return pool.submit(execute, job, {**shared, **own}, running).result

    try:
        yield submit
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        running.stop()
        raise
    finally:
        pool.shutdown()


def run_stage(stage: Sequence[Job], submit: Submit) -> list[str]:
    """Do all jobs of a stage. Returns a line for each that failed; the others go on."""
    failed = []
    for job, wait in [(job, submit(job)) for job in stage]:
        try:
            status = wait()
        except Exception as error:  # the executor's own: out of time, out of memory, a lost node
            status, why = 1, reason(error)
        else:
            lines = job.log.read_text(encoding="utf-8").strip().splitlines() if status else []
            why = lines[-1] if lines else f"status {status}"
        print(f"{'failed' if status else 'done'}: {job.name}", flush=True)
        if status:
            failed.append(f"{job.name}: {why} (log: {job.log})")
    return failed
