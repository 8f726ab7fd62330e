"""Makes `python -m imo.store` the same as the command `imo store`."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main(["store", *sys.argv[1:]]))
