"""Options of adapter training."""

from __future__ import annotations

import torch
from yacs.config import CfgNode

from imo.errors import InputError
from imo.rules import Rule, number, one_of, whole
from imo.trainers.adapter import dino
from imo.trainers.adapter.steps import PRECISIONS, SCHEDULES

OBJECTIVES = ("supervised", "dino")


def extend_cfg(cfg: CfgNode) -> None:
    """Add the node TRAINER.IMOADAPTER to a config."""
    cfg.TRAINER.IMOADAPTER = CfgNode()
    cfg.TRAINER.IMOADAPTER.OBJECTIVE = "supervised"  # or "dino", without labels
    cfg.TRAINER.IMOADAPTER.BOTTLENECK = 64  # hidden size of an adapter
    cfg.TRAINER.IMOADAPTER.SCALE = 0.03  # factor on an adapter's output
    cfg.TRAINER.IMOADAPTER.DROPOUT = 0.1  # probability, between an adapter's two layers
    cfg.TRAINER.IMOADAPTER.SCHEDULE = "constant"  # learning rate over the steps: constant or cosine
    cfg.TRAINER.IMOADAPTER.WARMUP_EPOCHS = 0  # first epochs, in which the learning rate grows from zero
    cfg.TRAINER.IMOADAPTER.CLIP_GRADIENT = 0.0  # larger gradients are shortened to this norm; 0 for never
    cfg.TRAINER.IMOADAPTER.PREC = "fp32"  # or "amp" (fp16 with a loss scale, on GPUs) or "bf16"
    cfg.TRAINER.IMOADAPTER.ACCUMULATE = 1  # pieces in which a batch goes through the model, to save memory
    # Share of the classes, 0 to 1, that is not trained on; the overlap of their images is measured after each epoch.
    cfg.TRAINER.IMOADAPTER.HOLD_OUT = 0.0
    # Stop when that overlap has not fallen for so many epochs, and save the adapters of the epoch where it was least; 0
    # to train all epochs and save the last.
    cfg.TRAINER.IMOADAPTER.PATIENCE = 0
    dino.extend_cfg(cfg.TRAINER.IMOADAPTER)


def rules() -> dict[str, Rule]:
    """What the options may be, by dotted name."""
    own = {
        "OBJECTIVE": one_of(OBJECTIVES), "SCHEDULE": one_of(SCHEDULES), "PREC": one_of(PRECISIONS),
        "BOTTLENECK": whole(1, 100_000), "SCALE": number(), "DROPOUT": number(0, 0.999), "WARMUP_EPOCHS": whole(0),
        "CLIP_GRADIENT": number(0), "ACCUMULATE": whole(1), "HOLD_OUT": number(0, 0.999), "PATIENCE": whole(0),
    }  # fmt: skip
    own |= {f"DINO.{name}": rule for name, rule in dino.RULES.items()}
    return {f"TRAINER.IMOADAPTER.{name}": rule for name, rule in own.items()}


def check(cfg: CfgNode) -> None:
    """Raise InputError for an option at odds with another option, or with the machine."""
    options = cfg.TRAINER.IMOADAPTER
    if options.PREC == "amp" and not (torch.cuda.is_available() and cfg.USE_CUDA):
        raise InputError("TRAINER.IMOADAPTER.PREC: amp needs a GPU; bf16 runs on a CPU too")
    if options.WARMUP_EPOCHS >= cfg.OPTIM.MAX_EPOCH:
        raise InputError(
            f"TRAINER.IMOADAPTER.WARMUP_EPOCHS: expected less than OPTIM.MAX_EPOCH, {cfg.OPTIM.MAX_EPOCH}, got "
            f"{options.WARMUP_EPOCHS}"
        )
    if options.PATIENCE and not options.HOLD_OUT:
        raise InputError("TRAINER.IMOADAPTER.HOLD_OUT: expected a share of the classes above 0 for PATIENCE, got 0")
