"""`python -m imo.store`, which is `imo store`."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main(["store", *sys.argv[1:]]))
