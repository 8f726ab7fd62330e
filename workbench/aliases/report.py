"""`python -m imo.report`, which is `imo report`."""

from imo.workbench.cli import start

if __name__ == "__main__":
    start("report")
