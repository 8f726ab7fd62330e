"""CoOp's command line, the same as `imo train`: one run of one trainer. `--help` tells the flags."""

from imo.workbench.cli import start

if __name__ == "__main__":
    start("train")
