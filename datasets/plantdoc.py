"""PlantDoc: leaves of plants, healthy and diseased."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import IMO_RELEASE, Sizes, SplitDataset


@DATASET_REGISTRY.register()
class PLANTDOC(SplitDataset):
    """Singh et al., "PlantDoc: A dataset for visual plant disease detection", CoDS-COMAD 2020,
    https://arxiv.org/abs/1911.10317.

    The split is the IMO authors'. Eight of the classes have fewer than 16 training images.
    """

    dataset_dir = "plantdoc"
    image_dir = "all_images"
    split_file = "split_alexey_plantdoc.json"
    sizes = Sizes(27, 515, 515, 1546)
    sources = {
        "all_images/": "https://github.com/pratikkayal/PlantDoc-Dataset (the images of train and test)",
        "split_alexey_plantdoc.json": IMO_RELEASE,
    }
