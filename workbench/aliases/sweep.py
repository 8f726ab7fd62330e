"""`python -m imo.sweep`, which is `imo sweep`."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
