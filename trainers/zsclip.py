"""Zero-shot CLIP, with one prompt and with several."""

from dassl.engine import TRAINER_REGISTRY

from imo.model.templates import SELECTED
from imo.trainers.base.foreign import DEFAULT_TEMPLATE
from imo.trainers.base.training_free import TrainingFreeTrainer


@TRAINER_REGISTRY.register()
class ZeroshotCLIP(TrainingFreeTrainer):
    """Classification by text alone, one prompt a class: `100 f W^T`.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
    https://arxiv.org/abs/2103.00020. Uses no support set and no validation images. The prompt is the dataset's own, as
    in CoOp; "a photo of a {}." where the dataset has several, which is CoOp's for ImageNet and its variants.
    """

    correction = "none"
    needs_shots = False

    def choose_templates(self, templates):
        return templates if len(templates) == 1 else [DEFAULT_TEMPLATE]

    def fit(self):
        pass

    def restrict(self, source_classes):
        """There is nothing to restrict."""

    def logits(self, split):
        return self.zero_shot_logits(split)


@TRAINER_REGISTRY.register()
class ZeroshotCLIP2(ZeroshotCLIP):
    """Zero-shot CLIP on the mean of several prompts: seven general ones and the dataset's own.

    As in CoOp (Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022,
    https://github.com/KaiyangZhou/CoOp). ImageNet's own are those seven; CoOp adds "a photo of a {}." for ImageNet's
    variants, we do not.
    """

    def choose_templates(self, templates):
        return list(dict.fromkeys([*SELECTED, *templates]))
