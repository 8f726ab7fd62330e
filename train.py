"""CoOp's command line, the same as `imo train`: one run of one trainer. `--help` tells the flags."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
