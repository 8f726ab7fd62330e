"""All that a dataset file needs: the class to build on, and what its attributes and its split are made of."""

from imo.datasets.base.folder_tree import class_folders, class_folders_of_parts
from imo.datasets.base.imagenet_family import ImageNetFamily, ImageNetVariant
from imo.datasets.base.sources import CLASSNAMES, IMO_RELEASE, Sizes, Torchvision, drive
from imo.datasets.base.split_dataset import SplitDataset, folder_split
from imo.datasets.base.splits import (
    PARTS,
    Item,
    Split,
    hold_out,
    part_of,
    refuse_repeated,
    stratified,
    tell_apart,
)

__all__ = [
    "CLASSNAMES",
    "IMO_RELEASE",
    "PARTS",
    "ImageNetFamily",
    "ImageNetVariant",
    "Item",
    "Sizes",
    "Split",
    "SplitDataset",
    "Torchvision",
    "class_folders",
    "class_folders_of_parts",
    "drive",
    "folder_split",
    "hold_out",
    "part_of",
    "refuse_repeated",
    "stratified",
    "tell_apart",
]
