"""The workbench around the methods: training runs, plans, comparison, sweep, overlap, report, the command `imo`.

`extend_cfg` is what another project's train.py calls.
"""

from __future__ import annotations

import importlib
from typing import Any

from imo.compat.defaults import declare
from imo.workbench.configs import layered
from imo.workbench.places import checkout_store


def extend_cfg(cfg: Any) -> None:
    """Register our trainers and datasets beside those that are there, and add their options to Dassl's defaults.

    For another project's train.py: between its `get_cfg_default()` and its own `extend_cfg`, whose nodes then win, and
    after its imports, whose names then win (ours are called `imo.` and the name where one is taken). From then on the
    config's `merge_from_file` finds our config files, and reads the files that they build on (see `LayeredCfg`).
    Settings that an older Dassl lacks are declared. Features are kept in the user's cache folder
    unless IMO.STORE is set.
    """
    add_options(cfg)
    cfg.IMO.STORE = str(checkout_store())


def add_options(cfg: Any) -> None:
    """As `extend_cfg`, for this project's own commands, which keep features where results are."""
    layered(cfg)
    declare(cfg)
    for name in ("imo.trainers", "imo.datasets"):
        importlib.import_module(name).extend_cfg(cfg)
