"""`python -m imo.run`, which is `imo run`."""

from imo.workbench.cli import start

if __name__ == "__main__":
    start("run")
