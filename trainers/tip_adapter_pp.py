"""Tip-Adapter++: Tip-Adapter on IMO-corrected features."""

from dassl.engine import TRAINER_REGISTRY

from imo.trainers.tip_adapter import TipAdapter


@TRAINER_REGISTRY.register()
class TipAdapterPP(TipAdapter):
    """`Z + alpha exp(-beta (1 - u U^T)) L` with u, U from the adapted encoder; Z stays on CLIP's own features.

    Kravets & Namboodiri, "CLIP Adaptation by Intra-Modal Overlap Reduction", BMVC 2024,
    https://arxiv.org/abs/2409.11338.
    """

    correction = "adapter"
