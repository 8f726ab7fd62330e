"""Checks, fetches and documents the datasets.

    imo datasets check --root data
    imo datasets check OxfordPets imagenet --root data
    imo datasets prepare OxfordPets --root data
    imo datasets document

`check` only looks, and says where to get what is missing; its status is 1 if anything is.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from imo.errors import InputError
from imo.files import atomic_path
from imo.workbench.options import Folder
from imo.workbench.places import ROOT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say what is there, what is missing, and where to get it")
    check.add_argument("names", metavar="NAME", nargs="*", help="as registered or in configs/datasets; default: all")
    check.add_argument("--root", action=Folder, required=True, help="folder that holds the datasets")
    prepare = commands.add_parser("prepare", help="fetch what torchvision can, and say what is to be done by hand")
    prepare.add_argument("names", metavar="NAME", nargs="+", help="as registered or in configs/datasets")
    prepare.add_argument(
        "--root", action=Folder, required=True, help="folder that holds the datasets; made where it is missing"
    )
    document = commands.add_parser("document", help="write DATASETS.md")
    default = ROOT / "DATASETS.md"
    document.add_argument("--output", type=Path, default=default, help="where (default: beside datasets/)")


def run(args: argparse.Namespace) -> int:
    """0: ready; 1: something is missing or differs from what was published."""
    from imo.datasets.tool.check import check, published
    from imo.datasets.tool.document import document
    from imo.datasets.tool.prepare import prepare

    if args.command == "document":
        with atomic_path(args.output) as temporary:
            temporary.write_text(document(), encoding="utf-8")
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


def kept(args: argparse.Namespace) -> str:
    if args.command == "prepare":
        return f"whole archives are kept in {args.root}, a half one is not; the same command goes on where it stopped"
    return "nothing was changed; start again"
