"""Options that several trainers read, and the digest of all that a result depends on."""

from __future__ import annotations

import hashlib
import inspect
import os
from operator import attrgetter
from typing import Any

from dassl import engine
from yacs.config import CfgNode

from imo.files import file_sha256
from imo.model.adapter import adapters_sha256
from imo.model.assets import shipped_adapter, shipped_backbone
from imo.model.backbone import named_file
from imo.rules import Rule, like
from imo.trainers.base.corrections import ENCODERS
from imo.trainers.base.gradient import GradientMethod
from imo.trainers.base.methods import Method

_WITHOUT_EFFECT = (
    "OUTPUT_DIR", "RESUME", "VERBOSE", "DATASET.ROOT", "DATASET.CFG", "DATASET.SHIFTS", "DATALOADER.NUM_WORKERS",
    "IMO.STORE", "IMO.CFG", "IMO.ADAPTER",  # the adapter counts by its content
)  # fmt: skip


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


def fingerprint(cfg: CfgNode) -> str:
    """Short hash of all options that a run's result depends on, and of the content of the weights that it uses."""
    kind = engine.TRAINER_REGISTRY.get(cfg.TRAINER.NAME)
    weights = _weights(cfg, getattr(kind, "correction", "none") or cfg.IMO.CORRECTION)
    cfg = cfg.clone()
    cfg.defrost()
    own = getattr(kind, "node", kind.__name__.upper())
    for node in {name.upper() for name in engine.TRAINER_REGISTRY.registered_names()} & {*cfg.TRAINER} - {own}:
        del cfg.TRAINER[node]  # another trainer's
    method = getattr(kind, "method_class", None)
    if method is not None and not issubclass(method, GradientMethod):
        cfg.OPTIM.MAX_EPOCH = 1  # whatever it is, see MethodTrainer.check_cfg
    cfg.merge_from_list([part for key in _WITHOUT_EFFECT for part in (key, type(attrgetter(key)(cfg))())])
    return hashlib.blake2b((cfg.dump() + weights).encode(), digest_size=8).hexdigest()


def _weights(cfg: CfgNode, correction: str) -> str:
    """Digests of the weights that a run reads from files, shipped ones included. (OpenAI's names stand for content.)"""
    name = cfg.MODEL.BACKBONE.NAME
    backbone, adapter = shipped_backbone(name) or named_file(name), None
    if ENCODERS.get(correction) == "adapter":
        adapter = cfg.IMO.ADAPTER or shipped_adapter(name)
    found = [file_sha256(backbone)] if backbone else []
    return " ".join(found + ([adapters_sha256(adapter)] if adapter and os.path.isfile(adapter) else []))
