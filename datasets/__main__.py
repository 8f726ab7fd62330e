"""`python -m imo.datasets`, which is `imo datasets`."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main(["datasets", *sys.argv[1:]]))
