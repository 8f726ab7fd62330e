"""`python -m imo.report`, which is `imo report`."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
