"""`python -m imo`."""

import sys

from imo.workbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
