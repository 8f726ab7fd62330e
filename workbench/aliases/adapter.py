"""`python -m imo.adapter`, which is `imo adapter`."""

from imo.workbench.cli import start

if __name__ == "__main__":
    start("adapter")
