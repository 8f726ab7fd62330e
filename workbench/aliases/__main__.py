"""`python -m imo`."""

from imo.workbench.cli import start

if __name__ == "__main__":
    start()
