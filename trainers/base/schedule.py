"""Dassl's learning-rate schedules, with a warm-up that every PyTorch takes."""

from dassl.optim import build_lr_scheduler

from imo.compat.warmup import warmed_up


def build_schedule(optimizer, options):
    """What Dassl's `build_lr_scheduler` makes of a node OPTIM; the warm-up is ours (see `imo.compat.warmup`)."""
    plain = options.clone()
    plain.defrost()
    plain.WARMUP_EPOCH = -1
    schedule = build_lr_scheduler(optimizer, plain)
    rate = options.WARMUP_CONS_LR if options.WARMUP_TYPE == "constant" else options.WARMUP_MIN_LR
    return warmed_up(optimizer, schedule, options.WARMUP_EPOCH, options.WARMUP_TYPE, rate, options.WARMUP_RECOUNT)
