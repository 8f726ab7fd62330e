"""Kills commands at random moments, prunes a store beside its readers, and gives commands files that mean harm.

    python tools/attack kill --times 100 [--seed 0] [--only NAME ...]
    python tools/attack prune --fetches 10000
    python tools/attack files

A command that was killed (SIGKILL) is started again, or killed again and then started. Its results must be those of a
run that nobody killed, nothing else may be there, and it must end. All is on a tiny random CLIP and tiny data. The
status is 1 where anything was lost, left or hung. The tests do a little of this, with fixed seeds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parents[1] / "tests/e2e")]

import hostile_files  # noqa: E402
import killing  # noqa: E402
import pruning  # noqa: E402


def main(argv: list[str]) -> int:
    """Returns 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    kill = commands.add_parser("kill")
    kill.add_argument("--times", type=int, default=100)
    kill.add_argument("--seed", type=int, default=0)
    kill.add_argument("--only", nargs="*", default=[])
    commands.add_parser("prune").add_argument("--fetches", type=int, default=10_000)
    commands.add_parser("files")
    args = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    if args.command == "kill":
        wrong = killing.kills(args.times, args.seed, args.only, folder)
    elif args.command == "prune":
        wrong = pruning.prunes(args.fetches, folder / "store")
    else:
        wrong = hostile_files.attack(folder)
    print("\n".join(wrong))
    if not wrong:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
