"""Tables, pictures and one page from the finished runs of an output folder.

    imo report OUTPUT                             writes OUTPUT/report/report.html and what is in it
    imo report OUTPUT --document docs/RESULTS.md  writes that file and its pictures instead
    imo report OUTPUT --against expected/*.csv    which figures differ from stored ones (status 1 if any)

It runs no trainer: it reads results.json files, the search surfaces beside them and what `imo overlap` left.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", nargs="?", default="output", help="folder of finished runs (default: output)")
    parser.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help="only these, as tables name them")
    parser.add_argument("--against", nargs="+", metavar="CSV", help="compare with figures in files like compare.csv")
    parser.add_argument("--document", type=Path, metavar="FILE", help="write all numbers into one Markdown file")


def run(args: argparse.Namespace) -> int:
    from imo.workbench.report.against import against, read_expected
    from imo.workbench.report.load import gather

    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    sources = gather(args.output, args.methods)
    if args.against:
        table, differing = against(sources.runs, read_expected(args.against))
        print(table.terminal(bold))
        return 1 if differing else 0
    if args.document:
        from imo.workbench.report.document import write_document

        print("Written to " + ", ".join(map(str, write_document(sources, args.document))))
        return 0
    from imo.workbench.report.write import write  # needs matplotlib

    tables, path = write(sources, Path(args.output) / "report")
    for table in tables:
        print(table.terminal(bold) + "\n")
    for line in sources.skipped:
        print(f"left out: {line}")
    print(f"Written to {path}")
    return 0


def kept(args: argparse.Namespace) -> str:
    return f"the runs in {args.output} are as they were; the same command writes the whole report"
