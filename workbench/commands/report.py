"""Tables, pictures and one page from the finished runs of an output folder.

imo report OUTPUT                           writes OUTPUT/report/report.html and what is in it
imo report OUTPUT --document docs/RESULTS.md  writes that file, curves.png and overlap.png beside it, instead
imo report OUTPUT --against expected/*.csv  which figures differ from stored ones (status 1 if any)
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from imo.errors import InputError
from imo.workbench.report.against import against, read_expected
from imo.workbench.report.load import gather


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="imo report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("output", nargs="?", default="output", help="folder of finished runs (default: output)")
    p.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help="only these, as tables name them")
    p.add_argument("--against", nargs="+", metavar="CSV", help="compare with figures in files like compare.csv")
    p.add_argument("--document", type=Path, metavar="FILE", help="write all numbers into one Markdown file, no page")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    try:
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
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with contextlib.suppress(BrokenPipeError):
        for table in tables:
            print(table.terminal(bold) + "\n")
        for line in sources.skipped:
            print(f"left out: {line}")
        print(f"Written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
