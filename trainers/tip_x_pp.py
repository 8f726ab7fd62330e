"""Tip-X++: Tip-X on IMO-corrected features."""

from dassl.engine import TRAINER_REGISTRY

from imo.trainers.tip_x import TipX


@TRAINER_REGISTRY.register()
class TipXPP(TipX):
    """Tip-X with the affinity, and so phi's range, from the adapted encoder; Z and KL stay on CLIP's own features.

    Kravets & Namboodiri, "CLIP Adaptation by Intra-Modal Overlap Reduction", BMVC 2024,
    https://arxiv.org/abs/2409.11338.
    """

    correction = "adapter"
