"""`python -m imo.datasets`, which is `imo datasets`."""

from imo.workbench.cli import start

if __name__ == "__main__":
    start("datasets")
