"""`python -m imo.adapter`, which is `imo adapter`."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main(["adapter", *sys.argv[1:]]))
