"""Lists and prunes a store of features.

    imo store list
    imo store prune                                   # tidy up: damaged and left-over files, small files merged
    imo store prune --older-than 90                   # and remove what was not used for 90 days
    imo store prune --backbone 5806e7 --dry-run       # say what would be done

All of a store can be computed again: what is removed costs time only. A space that a run is using is left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imo.workbench.places import default_store

if TYPE_CHECKING:
    from imo.store.pruning import SpaceFolder

DAY = 24 * 3600.0
STORES = "default: output/features; where that is not there, ~/.cache/clip-imo/features, which CoOp checkouts use"


def backbone_names() -> dict[str, str]:
    """sha256 -> name of the backbones that have one."""
    from imo.files import file_sha256
    from imo.model.assets import shipped_backbone, shipped_backbones
    from imo.model.openai_clip import clip_module

    openai = {url.split("/")[-2]: name for name, url in clip_module("clip")._MODELS.items()}
    shipped = {file_sha256(path): name for name in shipped_backbones() if (path := shipped_backbone(name))}
    return {**openai, **shipped}


def line(space: SpaceFolder, names: dict[str, str]) -> list[str]:
    """A space as a row of the table."""
    from imo.store.shards import DamagedShard, Shard

    about: dict[str, Any] = {"backbone": "?", "view": "?", "dtype": "?", **space.space}
    rows = size = 0
    for path in space.shards:
        with contextlib.suppress(DamagedShard, FileNotFoundError):
            rows += len(Shard(path).identities)
            size += path.stat().st_size
    sha256, autocast, days = about["backbone"], about.get("autocast", "None"), space.unused / DAY
    return [
        space.folder.name[:8],
        f"{names[sha256]} {sha256[:6]}" if sha256 in names else sha256[:12],
        (about.get("adapter") or "-")[:6],
        about["view"] + (f" {json.dumps(about['rows'])}" if "rows" in about else ""),
        (about["dtype"] if autocast == "None" else autocast).replace("torch.", ""),
        f"{rows:,}",
        str(len(space.shards)),
        f"{size / 1e6:,.1f} MB",
        "today" if days < 1 else f"{days:.0f} days ago",
    ]


def prune(spaces: Sequence[SpaceFolder], args: argparse.Namespace) -> None:
    """Remove the spaces that meet all conditions given, if any is; tidy the others."""
    conditions: list[Callable[[SpaceFolder], bool]] = []
    if args.older_than is not None:
        conditions.append(lambda space: space.unused > args.older_than * DAY)
    if args.backbone is not None:
        conditions.append(lambda space: space.space.get("backbone", "").startswith(args.backbone))
    if args.adapter is not None:
        conditions.append(lambda space: (space.space.get("adapter") or "none").startswith(args.adapter))
    done = 0
    for space in spaces:
        with space.alone() as alone:
            if not alone:
                lines = [f"{space.folder}: left alone, for another process is using it"]
            elif conditions and all(condition(space) for condition in conditions):
                lines = [f"{space.folder}: removed, {len(space.shards)} files of features"]
                if not args.dry_run:
                    space.remove()
            else:
                lines = list(space.tidy(args.dry_run))
        done += len(lines)
        for text in lines:
            print(text)
    print("nothing to do" if not done else "dry run: nothing was changed" if args.dry_run else "done")


def age(text: str) -> float:
    """A number of days."""
    value = float(text)
    if not value >= 0:
        raise ValueError(text)
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    p_list = commands.add_parser("list", help="one line per space: what its features are of, rows, size, last use")
    p_prune = commands.add_parser(
        "prune",
        help="remove what is damaged or left over, merge small files; more by option",
        description="Removes damaged files and those of interrupted processes, and merges small ones. With options, "
        "the spaces that meet all of them are removed.",
    )
    for command in (p_list, p_prune):
        command.add_argument("--store", type=Path, help=STORES)
    p_prune.add_argument("--older-than", metavar="DAYS", type=age, help="not used for as long")
    p_prune.add_argument("--backbone", metavar="SHA256", help="of this backbone; the first digits will do")
    p_prune.add_argument("--adapter", metavar="SHA256", help='of this adapter, by its first digits; or "none"')
    p_prune.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def run(args: argparse.Namespace) -> int:
    from tabulate import tabulate

    from imo.store.pruning import spaces_of

    if args.store is None:
        args.store = default_store()
        print(f"Store: {args.store}")
    spaces = spaces_of(args.store)
    if args.command == "prune":
        prune(spaces, args)
    else:
        names = backbone_names()
        rows = [line(space, names) for space in spaces]
        headers = ["space", "backbone", "adapter", "view", "precision", "rows", "files", "size", "last used"]
        print(tabulate(rows, headers, disable_numparse=True))
    return 0


def kept(args: argparse.Namespace) -> str:
    return f"{args.store} is whole, what was removed by then stays removed; the same command goes on"
