"""Caltech 101: pictures of objects."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Sizes, SplitDataset, Torchvision, drive, folder_split


@DATASET_REGISTRY.register()
class Caltech101(SplitDataset):
    """Fei-Fei et al., "Learning generative visual models from few training examples", CVPR workshop 2004,
    https://data.caltech.edu/records/mzrjq-6wc02."""

    dataset_dir = "caltech-101"
    image_dir = "101_ObjectCategories"
    split_file = "split_zhou_Caltech101.json"
    fallback = folder_split
    ignored = ("BACKGROUND_Google", "Faces_easy")
    renamed = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}
    sizes = Sizes(100, 4128, 1649, 2465)
    sources = {
        "101_ObjectCategories/": "https://data.caltech.edu/records/mzrjq-6wc02 (caltech-101.zip, the .tar.gz inside)",
        "split_zhou_Caltech101.json": drive("1hyarUivQE36mY6jSomru6Fjd-JzwcCzN"),
    }
    torchvision = Torchvision("Caltech101", {"caltech101/101_ObjectCategories": "101_ObjectCategories"})
