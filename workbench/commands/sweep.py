"""A plan of runs (datasets x trainers x shots x seeds) as jobs, on this machine or a cluster.

    imo sweep --datasets digits mnist5k --trainers TipX TipXPP --shots 1 16 --seeds 1 2 3 --jobs 2
    imo sweep ... --adapter-dataset openimages --executor slurm --slurm partition=gpu gpus_per_node=1

A sweep that is started again goes on where it stopped; two sweeps may share an output folder.
"""

from __future__ import annotations

import argparse
import sys

from imo.workbench.options import FEATURES, add_plan_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan_arguments(parser)
    parser.add_argument("--adapter-dataset", default="", help="first train adapters on this dataset, and use them")
    parser.add_argument("--adapter-cfg", default="", help="a file of configs/trainers/IMOAdapter")
    parser.add_argument("--adapter-shots", default="200")
    parser.add_argument("--adapter-seed", default="1")
    parser.add_argument(
        "--executor", choices=("processes", "local", "slurm"), default="processes", help="the last two: submitit"
    )
    parser.add_argument("--jobs", type=int, default=1, help="how many at once, for processes")
    parser.add_argument("--minutes", type=int, default=24 * 60, help="a job's time limit, for submitit")
    parser.add_argument(
        "--slurm", nargs="*", default=[], metavar="NAME=VALUE", help="partition=..., gpus_per_node=..., ..."
    )


def run(args: argparse.Namespace) -> int:
    from imo.workbench.sweep import sweep

    failed = sweep(args)
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if failed else 0


def kept(args: argparse.Namespace) -> str:
    going_on = "" if args.executor == "processes" else "; jobs that submitit has begun go on without it"
    return f"finished runs and {FEATURES} are kept in {args.output}; the same command goes on from them{going_on}"
