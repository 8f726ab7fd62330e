"""Checks, fetches and documents the datasets.

imo datasets check --root data
imo datasets check OxfordPets imagenet --root data
imo datasets prepare OxfordPets --root data
imo datasets document
"""

import argparse
import os
import sys
from pathlib import Path

from imo.datasets.tool.check import check, published
from imo.datasets.tool.document import document
from imo.datasets.tool.prepare import prepare
from imo.errors import InputError
from imo.workbench.places import ROOT


def parser():
    p = argparse.ArgumentParser(
        prog="imo datasets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = p.add_subparsers(dest="command", required=True)
    p_check = commands.add_parser("check", help="say what is there, what is missing, and where to get it")
    p_check.add_argument("names", metavar="NAME", nargs="*", help="as registered or in configs/datasets; default: all")
    p_check.add_argument("--root", required=True, help="folder that holds the datasets")
    p_prepare = commands.add_parser("prepare", help="fetch what torchvision can, and say what is to be done by hand")
    p_prepare.add_argument("names", metavar="NAME", nargs="+", help="as registered or in configs/datasets")
    p_prepare.add_argument("--root", required=True, help="folder that holds the datasets; made where it is missing")
    p_document = commands.add_parser("document", help="write DATASETS.md")
    default = ROOT / "DATASETS.md"
    p_document.add_argument("--output", type=Path, default=default, help="where (default: beside datasets/)")
    return p


def main(argv=None):
    """0: ready; 1: something is missing or differs from what was published; 2: an error, on one line."""
    args = parser().parse_args(argv)
    try:
        if args.command == "document":
            args.output.write_text(document(), encoding="utf-8")
            return 0
        if args.command == "prepare":
            os.makedirs(args.root, exist_ok=True)
        elif not os.path.isdir(args.root):
            raise InputError(f"--root: no folder {args.root}")
        ready = True
        for name in args.names or published():
            fits, lines = (check if args.command == "check" else prepare)(name, args.root)
            print("\n".join(lines), flush=True)
            ready = ready and fits
        return 0 if ready else 1
    except (InputError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
