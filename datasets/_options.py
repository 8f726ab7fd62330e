"""Options that datasets read."""


def extend_cfg(cfg):
    """Add to the node DATASET."""
    # CoOp's halves of the classes: all, base or new.
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"
    # Validation images: "full" (the whole split, as the IMO authors do) or "few" (min(shots, 4) a class, as CoOp does).
    cfg.DATASET.VALIDATION = "full"
    # Corrupt the test images: <name>-<severity 1..5>, for instance gaussian_noise-3.
    cfg.DATASET.CORRUPTION = ""
    # The trainer config that scripts take where none is named.
    cfg.DATASET.CFG = "vit_b16"
