"""A CoOp checkout's own train.py, with this project's trainers, datasets and config files beside its own.

    cd CoOp
    imo-run train.py --trainer TipXPP --config-file configs/trainers/TipXPP/vit_b16.yaml \\
        --root DATA --dataset-config-file configs/datasets/caltech101.yaml --seed 1 \\
        --output-dir output/caltech101/TipXPP/vit_b16_16shots/seed1 DATASET.NUM_SHOTS 16
    imo-run --list        what is registered, and by whom

`imo-run` is `imo run`. No file of the checkout is changed: its train.py runs as the main program, with its flags,
datasets and `clip/` (our models are built of clip-anytorch). A trainer or dataset that both have is the checkout's;
ours is then called `imo.` and the name. A config file that is not in the checkout is looked for among ours. Our
trainers skip a finished run, unless IMO.REDO True is among the options.
"""

from __future__ import annotations

import argparse

from imo.errors import InputError
from imo.workbench.options import FEATURES

MENDABLE = (InputError,)  # whatever else the checkout's code raises goes through


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--list", nargs="?", const="train.py", metavar="SCRIPT", help="list trainers and datasets with their owners"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="SCRIPT ...", help="train.py and its arguments")


def run(args: argparse.Namespace) -> int:
    if args.list is None and not args.command:
        print(__doc__)
        return 0
    from imo.workbench import launcher

    if args.list is not None:
        launcher.listed(args.list)
    else:
        launcher.run(args.command[0], args.command[1:])
    return 0


def kept(args: argparse.Namespace) -> str:
    return f"{FEATURES} are kept in the store (IMO.STORE), as is what the script wrote; start it again"
