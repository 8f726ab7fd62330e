"""ImageNetV2: ten new photographs for each class of ImageNet."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base.imagenet_family import ImageNetVariant
from imo.datasets.base.sources import CLASSNAMES, Sizes
from imo.datasets.base.splits import Split


@DATASET_REGISTRY.register()
class ImageNetV2(ImageNetVariant):
    """Recht et al., "Do ImageNet classifiers generalize to ImageNet?", ICML 2019, https://arxiv.org/abs/1902.10811.

    The class folders 0 to 999 count the lines of classnames.txt.
    """

    dataset_dir = "imagenetv2"
    image_dir = "imagenetv2-matched-frequency-format-val"
    sizes = Sizes(1000, None, None, 10000)
    sources = {
        "imagenetv2-matched-frequency-format-val/": "https://huggingface.co/datasets/vaishaal/ImageNetV2 "
        "(imagenetv2-matched-frequency.tar.gz)",
        "classnames.txt": CLASSNAMES,
    }

    def find_split(self):
        return Split([], [], self.items(wnids={str(i): wnid for i, wnid in enumerate(self.names_by_wnid())}))
