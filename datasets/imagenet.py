"""ImageNet (ILSVRC 2012): photographs of 1,000 classes of WordNet."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import CLASSNAMES, ImageNetFamily, Sizes, Split
from imo.errors import InputError

SITE = "https://image-net.org (ILSVRC2012, after registration)"


@DATASET_REGISTRY.register()
class ImageNet(ImageNetFamily):
    """Deng et al., "ImageNet: A large-scale hierarchical image database", CVPR 2009, https://image-net.org.

    The test images are those of its validation folder, as is usual. Published figures of cache methods are tuned on
    them, too: DATASET.VALIDATION "paper" does the same, the default holds out training images for it.
    """

    dataset_dir = "imagenet"
    holds_out = True
    sizes = Sizes(1000, 1281167, None, 50000)
    sources = {
        "images/train/": f"{SITE}; one folder <WordNet id>/ per class",
        "images/val/": f"{SITE}; sorted into the same folders (valprep.sh of https://github.com/soumith/imagenetloader.torch)",
        "classnames.txt": CLASSNAMES,
    }

    def find_split(self) -> Split:
        test = self.items("val")
        tested = self.class_ids
        train = self.items("train")
        if tested != self.class_ids:
            missing = min(set(tested) ^ set(self.class_ids))
            raise InputError(
                f"{self.image_dir}: class folder n{missing:08d} is not both in train and in val; complete or remove it"
            )
        return Split(train, [], test)
