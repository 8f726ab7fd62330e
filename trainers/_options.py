"""Options that several trainers read."""

from yacs.config import CfgNode

CORRECTIONS = ("none", "adapter")
PHI_RANGES = ("paper", "inductive")


def extend_cfg(cfg):
    """Add the node IMO."""
    cfg.IMO = CfgNode()
    # Image features of the cache: "none" (CLIP's own) or "adapter" (IMO-corrected, always so in the PP trainers).
    cfg.IMO.CORRECTION = "none"
    # Adapter file for "adapter"; empty for the one that ships with the backbone, if one does.
    cfg.IMO.ADAPTER = ""
    # Folder where features are kept. Safe to share between runs and processes, safe to delete.
    cfg.IMO.STORE = "output/features"
    # Augmented views of each support image whose features are averaged into its key.
    cfg.IMO.PASSES = 10
    # Tip-X rescales KL by ranges taken from the test matrix itself ("paper") or from validation ("inductive").
    cfg.IMO.PHI = "paper"
