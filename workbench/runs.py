"""Runs trainers x corrections x shots x seeds in one process, skipping what is finished, and prints tables.

The scripts call it; every run is `train.py` with the flags that CoOp's scripts give it.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import traceback
from pathlib import Path


def parse(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--trainers", nargs="*", default=[], help="without any: all that are training-free")
    p.add_argument("--corrections", nargs="*", default=["none"], help="of trainers that leave the choice")
    p.add_argument("--dataset", nargs="+", required=True, help="files of configs/datasets, without .yaml")
    p.add_argument("--shots", nargs="+", required=True)
    p.add_argument(
        "--cfg", default="", help="a file of configs/trainers/<Trainer>; by default the dataset's DATASET.CFG"
    )
    p.add_argument("--seeds", nargs="+", required=True)
    p.add_argument("--validation", default="", help="DATASET.VALIDATION: full, few, paper or support")
    p.add_argument("--data", required=True)
    p.add_argument("--output", required=True)
    p.add_argument("--adapter", default="")
    p.add_argument("--backbone", default="")
    p.add_argument(
        "--targets",
        nargs="*",
        help="datasets or corruptions to test the trained state on; if none is named, the dataset's DATASET.SHIFTS",
    )
    p.add_argument("--plan", action="store_true", help="print the runs as JSON, and do none")
    p.add_argument("--quiet", action="store_true", help="runs' logs go to their log.txt alone")
    p.add_argument("--keep-going", action="store_true", help="go on with the other datasets where one fails")
    return p.parse_args(argv)


def run_one(run, quiet):
    """One run in this process; what it prints goes to its log.txt, and to the screen unless quiet."""
    from imo.workbench import train

    (run.folder / "log.txt").unlink(missing_ok=True)  # a half-done run's: the log of this one takes its name
    with contextlib.ExitStack() as stack:
        if quiet:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        train.run(train.parser().parse_args(run.argv))


class Failures(dict):
    """{dataset: reason}; collects errors that belong to one dataset, where others can go on."""

    def __init__(self, keep_going):
        super().__init__()
        self.keep_going = keep_going

    @contextlib.contextmanager
    def of(self, dataset):
        """What fails in the block is the dataset's failure."""
        from imo.errors import InputError
        from imo.workbench import train

        try:
            yield
        except Exception as error:
            if not self.keep_going:
                raise
            mendable = isinstance(error, (InputError, OSError))
            self[dataset] = train.explain(error) if mendable else traceback.format_exc()


def listed(args):
    """The runs as dictionaries, for programs."""
    from imo.workbench.plan import plan

    runs = [run for dataset in args.dataset for run in plan(args, dataset)]
    keys = ("dataset", "trainer", "shots", "seed")
    return [{**{key: getattr(run, key) for key in keys}, "folder": str(run.folder)} for run in runs]


def execute(args, failures):
    """Do all runs that are not finished; returns those of datasets that did not fail."""
    from tqdm import tqdm

    from imo.workbench.plan import is_finished, plan

    runs, finished = [], []
    for dataset in args.dataset:
        with failures.of(dataset):
            planned = plan(args, dataset)
            finished += [run for run in planned if is_finished(run)]
            runs += planned
    if finished:
        print(f"{len(finished)} of {len(runs)} runs are finished already and skipped")
    todo = [run for run in runs if run not in finished]
    bar = tqdm(todo, disable=not args.quiet or not todo, unit="run")
    for run in bar:
        if run.dataset in failures:
            continue
        bar.set_description(str(run))
        if not args.quiet:
            print(f"\n=== {run}: {run.folder}", flush=True)
        with failures.of(run.dataset):
            run_one(run, args.quiet)
    return [run for run in runs if run.dataset not in failures]


def tables(args, runs):
    """Print accuracy and time of the runs, and write them where they are a comparison."""
    from imo.results import read_results
    from imo.workbench.report import averages, comparison
    from imo.workbench.report.timing import timing

    results = [read_results(run.folder) for run in runs]
    names = {run["dataset"] for run in results}
    averaged, what = names, "average of datasets"
    if args.targets is not None:
        averaged, what = names - {results[0]["dataset"]}, "average of targets"
    table = comparison(results + (averages(results, averaged, what) if len(averaged) > 1 else []))
    times = timing(results)
    with contextlib.suppress(BrokenPipeError):
        print(f"\n{table.text()}\n\n{times}")
        if len({run.method for run in runs}) > 1 or args.targets is not None or len(args.dataset) > 1:
            folder = Path(args.output) / ("shift" if args.targets is not None else "")
            folder /= args.dataset[0] if len(args.dataset) == 1 else ""
            stem = folder / "-".join(filter(None, ["compare", args.validation]))
            print(f"\nWritten to {table.write(stem)}")


def main(argv=None):
    args = parse(argv)
    from imo.errors import InputError
    from imo.workbench import train

    failures = Failures(args.keep_going)
    try:
        if args.plan:
            print(json.dumps(listed(args)))
            return 0
        runs = execute(args, failures)
        if runs:
            tables(args, runs)
    except (InputError, OSError) as error:
        print(f"error: {train.explain(error)}", file=sys.stderr)
        return 2
    for dataset, reason in failures.items():
        print(f"error: {dataset}: {reason}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # a pipe sees each line as it comes
    sys.exit(main())
