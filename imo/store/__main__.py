"""Makes `python -m imo.store` the same as the command `imo store`."""

from imo.workbench.cli import start

if __name__ == "__main__":
    start("store")
