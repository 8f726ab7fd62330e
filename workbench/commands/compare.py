"""Trainers side by side: runs trainers x corrections x shots x seeds, and prints tables of all.

    imo compare --dataset colored_digits --shots 1 16 --corrections none adapter
    imo compare --dataset digits mnist5k --trainers TipX TipXPP --shots 16 --seeds 1 --quiet --keep-going
    imo compare --dataset digits --trainers TipXPP --shots 16 --targets mnist5k inverse-5

Finished runs are skipped. Every run is `imo train` with the flags that CoOp's scripts give it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imo.workbench.options import FEATURES, add_plan_arguments

if TYPE_CHECKING:
    from imo.workbench.plan import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan_arguments(parser)
    parser.add_argument(
        "--targets",
        nargs="*",
        metavar="NAME",
        help="datasets or corruptions to test the trained state on; if none is named, the dataset's DATASET.SHIFTS",
    )
    parser.add_argument("--quiet", action="store_true", help="runs' logs go to their log.txt alone")
    parser.add_argument("--keep-going", action="store_true", help="go on with the other datasets where one fails")


def run(args: argparse.Namespace) -> int:
    from imo.workbench.plan import Request
    from imo.workbench.runs import Failures, execute

    failures = Failures(args.keep_going)
    runs = execute(Request.of(args), args.datasets, args.quiet, failures)
    if runs:
        print(tables(args, runs))
    for dataset, reason in failures.items():
        print(f"error: {dataset}: {reason}", file=sys.stderr)
    return 1 if failures else 0


def kept(args: argparse.Namespace) -> str:
    return f"finished runs and {FEATURES} are kept in {args.output}; the same command goes on from them"


def tables(args: argparse.Namespace, runs: Sequence[Run]) -> str:
    """Accuracy and time of the runs. Where they are a comparison, written to compare.csv and .md, too."""
    from imo.results import read_result
    from imo.workbench.report import averages, comparison
    from imo.workbench.report.timing import timing

    results = [result for run in runs if (result := read_result(run.folder)) is not None]
    names, what = {result.dataset for result in results}, "average of datasets"
    if args.targets is not None:
        names, what = names - {results[0].dataset}, "average of targets"
    table = comparison(results + (averages(results, names, what) if len(names) > 1 else []))
    text = f"\n{table.text()}\n\n{timing(results)}"
    if len({run.method for run in runs}) > 1 or args.targets is not None or len(args.datasets) > 1:
        folder = Path(args.output, *(("shift",) if args.targets is not None else ()))
        folder /= args.datasets[0] if len(args.datasets) == 1 else ""
        text += f"\n\nWritten to {table.write(folder / '-'.join(filter(None, ('compare', args.validation))))}"
    return text
