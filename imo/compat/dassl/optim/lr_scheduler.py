"""Learning-rate schedules, stepped once an epoch."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, StepLR
from yacs.config import CfgNode

from imo.compat.warmup import ConstantWarmupScheduler, LinearWarmupScheduler, warmed_up

__all__ = ["AVAI_SCHEDS", "ConstantWarmupScheduler", "LinearWarmupScheduler", "build_lr_scheduler"]

AVAI_SCHEDS = ["single_step", "multi_step", "cosine"]


def build_lr_scheduler(optimizer: Optimizer, optim_cfg: CfgNode) -> LRScheduler:
    """The schedule that LR_SCHEDULER names, with the warm-up before it that WARMUP_EPOCH asks for."""
    scheduler = _main_scheduler(optimizer, optim_cfg)
    rate = optim_cfg.WARMUP_CONS_LR if optim_cfg.WARMUP_TYPE == "constant" else optim_cfg.WARMUP_MIN_LR
    return warmed_up(
        optimizer, scheduler, optim_cfg.WARMUP_EPOCH, optim_cfg.WARMUP_TYPE, rate, optim_cfg.WARMUP_RECOUNT
    )


def _main_scheduler(optimizer: Optimizer, optim_cfg: CfgNode) -> LRScheduler:
    """The schedule without warm-up."""
    name, stepsize = optim_cfg.LR_SCHEDULER, optim_cfg.STEPSIZE
    if name == "single_step":
        last = stepsize[-1] if isinstance(stepsize, (list, tuple)) else stepsize
        if not isinstance(last, int):
            raise TypeError(f"STEPSIZE of single_step must be an integer, but got {type(last).__name__}")
        return StepLR(optimizer, step_size=last if last > 0 else optim_cfg.MAX_EPOCH, gamma=optim_cfg.GAMMA)
    if name == "multi_step":
        if not isinstance(stepsize, (list, tuple)):
            raise TypeError(f"STEPSIZE of multi_step must be a list, but got {type(stepsize).__name__}")
        return MultiStepLR(optimizer, milestones=list(stepsize), gamma=optim_cfg.GAMMA)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, optim_cfg.MAX_EPOCH)
    raise ValueError(f"scheduler must be one of {AVAI_SCHEDS}, but got {name}")
