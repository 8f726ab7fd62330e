"""Dassl's learning-rate schedules, with a warm-up that works on every PyTorch."""

from __future__ import annotations

from dassl.optim import build_lr_scheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from yacs.config import CfgNode

from imo.compat.warmup import warmed_up


def build_schedule(optimizer: Optimizer, options: CfgNode) -> LRScheduler:
    """The schedule that a config's node OPTIM describes: Dassl's own, after a warm-up of `imo.compat.warmup`."""
    plain = options.clone()
    plain.defrost()
    plain.WARMUP_EPOCH = -1
    schedule = build_lr_scheduler(optimizer, plain)
    rate = options.WARMUP_CONS_LR if options.WARMUP_TYPE == "constant" else options.WARMUP_MIN_LR
    return warmed_up(optimizer, schedule, options.WARMUP_EPOCH, options.WARMUP_TYPE, rate, options.WARMUP_RECOUNT)
