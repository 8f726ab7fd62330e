"""Options of adapter training."""

import torch
from yacs.config import CfgNode

from imo.errors import InputError
from imo.trainers.adapter import dino as _dino
from imo.trainers.adapter.steps import PRECISIONS, SCHEDULES

OBJECTIVES = ("supervised", "dino")


def extend_cfg(cfg):
    """The trainer's own options."""
    cfg.TRAINER.IMOADAPTER = CfgNode()
    cfg.TRAINER.IMOADAPTER.OBJECTIVE = "supervised"  # or "dino", without labels
    cfg.TRAINER.IMOADAPTER.BOTTLENECK = 64  # hidden size of an adapter
    cfg.TRAINER.IMOADAPTER.SCALE = 0.03  # factor on its output
    cfg.TRAINER.IMOADAPTER.DROPOUT = 0.1
    cfg.TRAINER.IMOADAPTER.SCHEDULE = "constant"  # of the learning rate over steps: constant or cosine
    cfg.TRAINER.IMOADAPTER.WARMUP_EPOCHS = 0  # before it, with a learning rate that grows from zero
    cfg.TRAINER.IMOADAPTER.CLIP_GRADIENT = 0.0  # largest norm of the gradient; 0 for any
    cfg.TRAINER.IMOADAPTER.PREC = "fp32"  # or "amp" (fp16 with a loss scale, on GPUs) or "bf16"
    cfg.TRAINER.IMOADAPTER.ACCUMULATE = 1  # pieces in which a batch goes through the model, to save memory
    # Part of the generic classes that is not trained on; after each epoch, the overlap of their images is measured.
    cfg.TRAINER.IMOADAPTER.HOLD_OUT = 0.0
    # Stop after so many epochs in which that overlap did not fall, and keep the epoch with the least; 0 for never.
    cfg.TRAINER.IMOADAPTER.PATIENCE = 0
    _dino.extend_cfg(cfg.TRAINER.IMOADAPTER)


def check(cfg):
    """Refuse options that do not fit."""
    options = cfg.TRAINER.IMOADAPTER
    for name, known in (("OBJECTIVE", OBJECTIVES), ("SCHEDULE", SCHEDULES), ("PREC", tuple(PRECISIONS))):
        if options[name] not in known:
            raise InputError(f"TRAINER.IMOADAPTER.{name}: expected one of {', '.join(known)}, got '{options[name]}'")
    if options.PREC == "amp" and not (torch.cuda.is_available() and cfg.USE_CUDA):
        raise InputError("TRAINER.IMOADAPTER.PREC: amp needs a GPU; bf16 runs on a CPU too")
    if options.ACCUMULATE < 1 or options.PATIENCE < 0 or not 0 <= options.WARMUP_EPOCHS < cfg.OPTIM.MAX_EPOCH:
        raise InputError(
            f"TRAINER.IMOADAPTER: expected ACCUMULATE of at least 1, PATIENCE of at least 0 and WARMUP_EPOCHS below "
            f"OPTIM.MAX_EPOCH, got {options.ACCUMULATE}, {options.PATIENCE}, {options.WARMUP_EPOCHS}"
        )
    if not 0 <= options.HOLD_OUT < 1 or (options.PATIENCE and not options.HOLD_OUT):
        raise InputError(
            f"TRAINER.IMOADAPTER.HOLD_OUT: expected a part from 0 to 1 of the classes, above 0 for PATIENCE, got "
            f"{options.HOLD_OUT}"
        )
    if options.OBJECTIVE == "dino":
        _dino.check(cfg)
