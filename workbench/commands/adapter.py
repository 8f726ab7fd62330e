"""Adapter files: those of the IMO authors' code, converted.

    imo adapter convert SOURCE TARGET

turns a checkpoint of the IMO authors' code (model_epoch_0.pt, or DINO's checkpoint.pth, with its configs.txt beside it)
into a file for IMO.ADAPTER that has the adapters alone: a few MB in place of hundreds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imo.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    command = commands.add_parser(
        "convert",
        help="authors' checkpoint -> safetensors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("source", type=Path, metavar="SOURCE", help="authors' checkpoint, .pt or .pth")
    command.add_argument("target", type=Path, metavar="TARGET", help="the file to write, .safetensors")
    command.add_argument("--scale", type=float, help="of the adapters, in place of configs.txt's ffn_adapter_scalar")
    command.add_argument("--backbone", default="", help="the CLIP they were trained in, to check and note it: ViT-B/16")


def run(args: argparse.Namespace) -> int:
    """Convert; with a backbone, the adapters are checked against its weights and bound to it."""
    import dataclasses

    from imo.files import file_sha256
    from imo.model.adapter import authors
    from imo.model.adapter.files import check_fits, write
    from imo.model.backbone import load_clip, locate

    if not args.source.is_file():
        raise InputError(f"{args.source}: no such file; give a checkpoint of the IMO authors' code")
    if args.target.suffix != ".safetensors":
        raise InputError(f"{args.target}: expected a name that ends with .safetensors")
    stored = authors.read(args.source, args.scale)
    if args.backbone:
        check_fits(stored, load_clip(args.backbone)[0], args.source, "")
        stored = dataclasses.replace(stored, backbone_sha256=file_sha256(locate(args.backbone)))
    write(stored, args.target)
    print(f"{args.target}: {len(stored.states)} adapters {stored.width} -> {stored.bottleneck}, scale {stored.scale:g}")
    return 0


def kept(args: argparse.Namespace) -> str:
    return f"{args.source} is as it was, {args.target} was not written; start again"
