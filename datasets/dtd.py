"""Describable Textures: textures by the words people use for them."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Sizes, SplitDataset, Torchvision, drive, folder_split


@DATASET_REGISTRY.register()
class DescribableTextures(SplitDataset):
    """Cimpoi et al., "Describing textures in the wild", CVPR 2014, https://www.robots.ox.ac.uk/~vgg/data/dtd."""

    dataset_dir = "dtd"
    split_file = "split_zhou_DescribableTextures.json"
    fallback = folder_split
    templates = ("{} texture.",)
    sizes = Sizes(47, 2820, 1128, 1692)
    sources = {
        "images/": "https://www.robots.ox.ac.uk/~vgg/data/dtd (dtd-r1.0.1.tar.gz)",
        "split_zhou_DescribableTextures.json": drive("1u3_QfB467jqHgNXC00UIzbLZRQCg2S7x"),
    }
    torchvision = Torchvision("DTD", {"dtd/dtd/images": "images"})
