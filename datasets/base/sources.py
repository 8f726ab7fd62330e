"""What a dataset declares about where its data come from and how many images there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Sizes(NamedTuple):
    """Numbers of classes and of images in each part; None where a dataset has no such part."""

    classes: int
    train: int | None
    val: int | None
    test: int


class Torchvision(NamedTuple):
    """How to download a dataset with torchvision.

    Attributes:
        name: the class in torchvision.datasets.
        moves: {file or folder as torchvision leaves it: its place below our folder of the dataset}.
    """

    name: str
    moves: Mapping[str, str]


def drive(identity: str) -> str:
    """The page of the file on Google Drive that has this id."""
    return f"https://drive.google.com/file/d/{identity}/view"


IMO_RELEASE = "the IMO authors' release, linked from https://arxiv.org/abs/2409.11338"
CLASSNAMES = drive("1-61f_ol79pViBFDG_IDlUQSwoLcn2XXF")  # ImageNet's class names, as corrected by CLIP's authors
