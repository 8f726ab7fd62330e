"""`python -m imo.sweep`, which is `imo sweep`."""

from imo.workbench.cli import start

if __name__ == "__main__":
    start("sweep")
