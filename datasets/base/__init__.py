"""All that a dataset file needs: the class to build on, and what its attributes and its split are made of."""

from imo.datasets.base.imagenet_family import ImageNetFamily, ImageNetVariant
from imo.datasets.base.sources import CLASSNAMES, IMO_RELEASE, Sizes, Torchvision, drive
from imo.datasets.base.split_dataset import SplitDataset, folder_split
from imo.datasets.base.splits import Item, Split, class_folders, hold_out, refuse_repeated, stratified

__all__ = [
    "CLASSNAMES",
    "IMO_RELEASE",
    "ImageNetFamily",
    "ImageNetVariant",
    "Item",
    "Sizes",
    "Split",
    "SplitDataset",
    "Torchvision",
    "class_folders",
    "drive",
    "folder_split",
    "hold_out",
    "refuse_repeated",
    "stratified",
]
