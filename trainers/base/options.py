"""Options that several trainers read."""

from __future__ import annotations

import inspect
from typing import Any

from yacs.config import CfgNode

from imo.rules import Rule, like
from imo.trainers.base.methods import Method


def extend_cfg(cfg: CfgNode) -> None:
    """Add the node IMO."""
    cfg.IMO = CfgNode()
    # Name of the trainer's config, for tables; set when the file is read.
    cfg.IMO.CFG = ""
    # Image features of the cache: "none" (CLIP's own), "adapter" (IMO-corrected, always so in the PP trainers) or
    # "isoclip" (without some singular directions of CLIP's projectors).
    cfg.IMO.CORRECTION = "none"
    # How many of the first and of the last singular directions "isoclip" drops; -1 to have it chosen on tuning images.
    cfg.IMO.ISOCLIP = CfgNode()
    cfg.IMO.ISOCLIP.TOP = -1
    cfg.IMO.ISOCLIP.BOTTOM = -1
    # Adapter file for "adapter"; empty for the one that ships with the backbone, if one does.
    cfg.IMO.ADAPTER = ""
    # Folder where features are kept. Safe to share between runs and processes, safe to delete. In a CoOp checkout the
    # default is in the user's cache folder, see imo.workbench.extend_cfg.
    cfg.IMO.STORE = "output/features"
    # Arithmetic of image features: "auto" (the backbone's own: float32 on CPU, float16 on GPU), "fp32", or "bf16"
    # (float32 weights, matrix products in bfloat16; features move by about 1 %).
    cfg.IMO.PRECISION = "auto"
    # Augmented views of each support image whose features are averaged into its key.
    cfg.IMO.PASSES = 10
    # The best alpha of the paper's "grid" (200; the first of equals) or of all alphas in its range ("exact"; the middle
    # of the widest best interval).
    cfg.IMO.SEARCH = "grid"
    # Tip-X rescales KL by ranges taken from the test matrix itself ("paper") or from validation ("inductive").
    cfg.IMO.PHI = "paper"
    # Train anew in an output folder that has a finished run, or a half-done one: what is there is removed first.
    cfg.IMO.REDO = False


def node_of(method: type[Method]) -> str:
    """Name of a method's own node below TRAINER; a corrected variant shares its base's."""
    return (method.base or method).__name__.upper()


def own_options(method: type[Method], cfg: CfgNode) -> dict[str, Any]:
    """Defaults of the options that are a method's own: arguments of its `__init__` that the node IMO does not have."""
    arguments = inspect.signature(method).parameters.values()
    return {a.name: a.default for a in arguments if a.name != "training" and a.name.upper() not in cfg.IMO}


def add_node(cfg: CfgNode, method: type[Method]) -> None:
    """Add a method's own options to a config, as TRAINER.<METHOD>.<OPTION>."""
    options = own_options(method, cfg)
    if options:
        cfg.TRAINER[node_of(method)] = CfgNode({name.upper(): value for name, value in options.items()})


def method_options(method: type[Method], cfg: CfgNode) -> dict[str, Any]:
    """The arguments of a method's `__init__` as a config has them, but for `training`."""
    own, names = own_options(method, cfg), inspect.signature(method).parameters
    node = cfg.TRAINER.get(node_of(method), {})  # a checkout may have replaced it by one of its own
    wanted = (name for name in names if name != "training")
    return {name: node.get(name.upper(), own[name]) if name in own else cfg.IMO[name.upper()] for name in wanted}


def method_rules(method: type[Method], cfg: CfgNode) -> dict[str, Rule]:
    """What a method's own options may be, by dotted name; the method itself knows ranges."""
    own = own_options(method, cfg)
    return {f"TRAINER.{node_of(method)}.{name.upper()}": like(default) for name, default in own.items()}
