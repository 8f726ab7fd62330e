"""ImageNetV2: ten new photographs for each class of ImageNet."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import CLASSNAMES, ImageNetVariant, Sizes, Split


@DATASET_REGISTRY.register()
class ImageNetV2(ImageNetVariant):
    """Recht et al., "Do ImageNet classifiers generalize to ImageNet?", ICML 2019, https://arxiv.org/abs/1902.10811.

    Folders are named 0-999; folder k holds the class on line k (from 0) of classnames.txt.
    """

    dataset_dir = "imagenetv2"
    image_dir = "imagenetv2-matched-frequency-format-val"
    sizes = Sizes(1000, None, None, 10000)
    sources = {
        "imagenetv2-matched-frequency-format-val/": "https://huggingface.co/datasets/vaishaal/ImageNetV2 "
        "(imagenetv2-matched-frequency.tar.gz)",
        "classnames.txt": CLASSNAMES,
    }

    def find_split(self) -> Split:
        return Split([], [], self.items(wnids={str(i): wnid for i, wnid in enumerate(self.names_by_wnid())}))
