"""`python -m imo.run`, which is `imo run`."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
