"""Options that several trainers read."""

import hashlib
import os

from dassl import engine
from yacs.config import CfgNode

from imo.files import file_sha256
from imo.model.adapter import adapters_sha256
from imo.model.backbone import named_file
from imo.trainers.base.corrections import ENCODERS

CHOICES = {
    "CORRECTION": tuple(ENCODERS),
    "PRECISION": ("auto", "fp32", "bf16"),
    "SEARCH": ("grid", "exact"),
    "PHI": ("paper", "inductive"),
}
_WITHOUT_EFFECT = (
    "OUTPUT_DIR", "RESUME", "VERBOSE", "DATASET.ROOT", "DATASET.CFG", "DATASET.SHIFTS", "DATALOADER.NUM_WORKERS",
    "IMO.STORE", "IMO.CFG",
)  # fmt: skip


def extend_cfg(cfg):
    """Add the node IMO."""
    cfg.IMO = CfgNode()
    cfg.IMO.CFG = ""  # name of the trainer's config, for tables; noted where the file is read
    # Image features of the cache: "none" (CLIP's own), "adapter" (IMO-corrected, always so in the PP trainers) or
    # "isoclip" (without some singular directions of CLIP's projectors).
    cfg.IMO.CORRECTION = "none"
    # How many of the first and of the last singular directions "isoclip" drops; -1 to have it chosen on tuning images.
    cfg.IMO.ISOCLIP = CfgNode()
    cfg.IMO.ISOCLIP.TOP = -1
    cfg.IMO.ISOCLIP.BOTTOM = -1
    # Adapter file for "adapter"; empty for the one that ships with the backbone, if one does.
    cfg.IMO.ADAPTER = ""
    # Folder where features are kept. Safe to share between runs and processes, safe to delete.
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


def fingerprint(cfg):
    """Short hash of all options that results depend on, and of the weights that they name as files."""
    cfg = cfg.clone()
    cfg.defrost()
    own = cfg.TRAINER.NAME.rpartition(".")[2].removesuffix("PP").upper()
    for node in {name.upper() for name in engine.TRAINER_REGISTRY.registered_names()} & {*cfg.TRAINER} - {own}:
        del cfg.TRAINER[node]  # another trainer's
    cfg.merge_from_list([part for key in _WITHOUT_EFFECT for part in (key, type(_get(cfg, key))())])
    backbone, adapter = named_file(cfg.MODEL.BACKBONE.NAME), cfg.IMO.ADAPTER
    text = cfg.dump() + (file_sha256(backbone) if backbone else "")
    text += adapters_sha256(adapter) if os.path.isfile(adapter) else ""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _get(cfg, key):
    for part in key.split("."):
        cfg = cfg[part]
    return cfg
