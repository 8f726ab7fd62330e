"""Food-101: photographs of 101 dishes."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Sizes, SplitDataset, Torchvision, drive, folder_split


@DATASET_REGISTRY.register()
class Food101(SplitDataset):
    """Bossard et al., "Food-101: Mining discriminative components with random forests", ECCV 2014,
    https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101."""

    dataset_dir = "food-101"
    split_file = "split_zhou_Food101.json"
    fallback = folder_split
    templates = ("a photo of {}, a type of food.",)
    sizes = Sizes(101, 50500, 20200, 30300)
    sources = {
        "images/": "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101 (food-101.tar.gz)",
        "split_zhou_Food101.json": drive("1QK0tGi096I0Ba6kggatX1ee6dJFIcEJl"),
    }
    torchvision = Torchvision("Food101", {"food-101/images": "images"})
