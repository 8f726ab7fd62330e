"""Zero-shot CLIP."""

from dassl.engine import TRAINER_REGISTRY

from imo.trainers._training_free import TrainingFreeTrainer


@TRAINER_REGISTRY.register()
class ZeroshotCLIP(TrainingFreeTrainer):
    """Classification by text alone: `100 f W^T`.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
    https://arxiv.org/abs/2103.00020. Uses no support set and no validation images.
    """

    correction = "none"
    needs_shots = False

    def fit(self):
        pass

    def restrict(self, source_classes):
        """There is nothing to restrict."""

    def logits(self, split):
        return self.zero_shot_logits(split)
