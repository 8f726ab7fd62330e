"""What a run's figures depend on, name by name: options, weights, the version of the code, and data. Runs of equal
inputs have equal figures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dassl
from dassl import engine
from yacs.config import CfgNode

from imo.compat.plugins import PREFIX
from imo.errors import visible
from imo.files import file_sha256, file_state
from imo.model.adapter import adapters_sha256
from imo.model.assets import shipped_adapter, shipped_backbone
from imo.model.backbone import named_file
from imo.trainers.base.corrections import ENCODERS
from imo.trainers.base.foreign import templates_of
from imo.trainers.base.gradient import GradientMethod
from imo.trainers.base.transforms import are_ours
from imo.trainers.base.views import place

NUMBERS_VERSION = 1  # raised by a change that moves figures which the same options, weights and data give

Inputs = dict[str, str]

_WITHOUT_EFFECT = (
    "OUTPUT_DIR", "RESUME", "VERBOSE", "TRAIN.PRINT_FREQ", "TRAIN.CHECKPOINT_FREQ", "DATASET.ROOT", "DATASET.CFG",
    "DATASET.TITLE", "DATASET.SHIFTS", "DATALOADER.NUM_WORKERS", "DATALOADER.TEST.BATCH_SIZE", "IMO.STORE", "IMO.CFG",
    "IMO.REDO", "IMO.ADAPTER",  # the adapter counts by its content
)  # fmt: skip
_DATA = {  # names that `data_of` and `state_of` give, in words
    "support": "support images or classes",
    "val": "validation images or classes",
    "test": "test images or classes",
    "files": "content of image files",
    "prompts": "prompts",
    "state": "state to be tested",
}
_MOST = 6  # differences that a message names


def settings_of(cfg: CfgNode) -> Inputs:
    """The options that a run's figures depend on, the content of the weights that it reads, and NUMBERS_VERSION."""
    kind = engine.TRAINER_REGISTRY.get(cfg.TRAINER.NAME)
    found = {name: visible(str(value)) for name, value in _leaves(cfg) if name not in _WITHOUT_EFFECT}
    own = getattr(kind, "node", "") or kind.__name__.upper()
    others = {name.upper() for name in engine.TRAINER_REGISTRY.registered_names()} - {own}
    found = {name: value for name, value in found.items() if _below(name, "TRAINER") not in others}
    method = getattr(kind, "method_class", None)
    if method is not None and not issubclass(method, GradientMethod):
        del found["OPTIM.MAX_EPOCH"]  # whatever it is, see MethodTrainer.check_cfg
    if not are_ours(cfg):
        found["transforms"] = f"dassl {dassl.__version__}"
    found["TRAINER.NAME"] = kind.__name__.removeprefix(PREFIX)
    found["NUMBERS_VERSION"] = str(NUMBERS_VERSION)
    return {**found, **_weights(cfg, getattr(kind, "correction", "none") or cfg.IMO.CORRECTION)}


def fingerprint(settings: Inputs) -> str:
    """Short hash of what `settings_of` gives."""
    return hashlib.blake2b(repr(sorted(settings.items())).encode(), digest_size=8).hexdigest()


def data_of(dataset: Any, cfg: CfgNode) -> Inputs:
    """Digests of a dataset.

    "support", "val" and "test" cover the images by their place below the data root, with labels and class names, and
    are the same on every machine. "files" covers size and time of change of all these images, by which the feature
    store knows them, "prompts" the templates. Of a corrupted image, the one that it was made from counts.
    """
    root, files, found = os.path.expanduser(cfg.DATASET.ROOT), hashlib.blake2b(digest_size=16), {}
    originals = getattr(dataset, "originals", {})
    for part, items in (("support", dataset.train_x), ("val", dataset.val), ("test", dataset.test)):
        lines = hashlib.blake2b(digest_size=16)
        for item in items or ():
            path = originals.get(item.impath, item.impath)
            line = f"{place(path, root)}\t{item.label}\t{item.classname}\n"
            lines.update(line.encode(errors="surrogateescape"))
            files.update(repr(file_state(path)).encode())
        if items:
            found[part] = lines.hexdigest()
    prompts = repr(list(templates_of(dataset, cfg.DATASET.NAME))).encode()
    return {**found, "files": files.hexdigest(), "prompts": hashlib.blake2b(prompts, digest_size=16).hexdigest()}


def state_of(folder: str | Path, epoch: int | None = None) -> Inputs:
    """Digest of the state in a run's output folder, for the inputs of a test of it."""
    states = sorted(Path(folder).glob(f"*/{state_name(epoch)}"))
    return {"state": " ".join(file_sha256(path)[:32] for path in states)}


def state_name(epoch: int | None) -> str:
    """Dassl's name for the checkpoint of an epoch, counted from 1, or for the best one."""
    return "model-best.pth.tar" if epoch is None else f"model.pth.tar-{epoch}"


def differences(before: Inputs, now: Inputs, which: Callable[[str], bool] = bool) -> str:
    """What differs between two runs' inputs, in words; empty where nothing does.

    Args:
        before, now: the inputs.
        which: tells by name which of them to look at.
    """
    found = []
    for name in sorted(filter(which, {*before, *now})):
        was, is_now = before.get(name, "not there"), now.get(name, "not there")
        if was != is_now:
            found.append(f"other {_DATA[name]}" if name in _DATA else f"{name} was {was}, is {is_now}")
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return "; ".join(found[:_MOST] + more)


def is_of_method(name: str) -> bool:
    """Whether an input belongs to a method's state: with another one, it would be another method."""
    return name.startswith("TRAINER.") or name in ("IMO.CORRECTION", "backbone_sha256", "adapter_sha256")


def is_of_training(name: str) -> bool:
    """Whether an input that does not, and is not of the data that are tested on, has gone into a state."""
    elsewhere = name in _DATA or name in ("MODEL.BACKBONE.NAME", "NUMBERS_VERSION")
    tested_on = name.startswith(("DATASET.", "DATALOADER.", "TEST.")) and name != "DATASET.NUM_SHOTS"
    return not (elsewhere or tested_on or is_of_method(name))


def short(sha256: str) -> str:
    """A checksum for messages."""
    return sha256[:12]


def _weights(cfg: CfgNode, correction: str) -> Inputs:
    """The weights that a run reads from files, shipped ones included, by content. (OpenAI's names stand for theirs.)"""
    name = cfg.MODEL.BACKBONE.NAME
    backbone, adapter = shipped_backbone(name) or named_file(name), None
    if ENCODERS.get(correction) == "adapter":
        adapter = cfg.IMO.ADAPTER or shipped_adapter(name)
    found = {"backbone_sha256": short(file_sha256(backbone))} if backbone else {}
    if adapter and os.path.isfile(adapter):
        found["adapter_sha256"] = short(adapters_sha256(adapter))
    return found


def _leaves(node: CfgNode, above: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of all options."""
    for name, value in node.items():
        if isinstance(value, CfgNode):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def _below(name: str, node: str) -> str:
    """The name below a node that an option's dotted name goes through; empty where it does not."""
    parts = name.split(".")
    return parts[1] if parts[0] == node and len(parts) > 2 else ""
