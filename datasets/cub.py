"""Caltech-UCSD Birds: 200 birds of North America."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import IMO_RELEASE, Sizes, SplitDataset


@DATASET_REGISTRY.register()
class CUB(SplitDataset):
    """Wah et al., "The Caltech-UCSD Birds-200-2011 dataset", 2011, https://www.vision.caltech.edu/datasets/cub_200_2011.

    The split is the IMO authors'.
    """

    dataset_dir = "cub"
    split_file = "split_alexey_cub.json"
    templates = ("a photo of a {}, a type of bird.",)
    sizes = Sizes(200, 3605, 3503, 4680)
    sources = {
        "images/": "https://data.caltech.edu/records/65de6-vp158 (CUB_200_2011.tgz, its folder images)",
        "split_alexey_cub.json": IMO_RELEASE,
    }
