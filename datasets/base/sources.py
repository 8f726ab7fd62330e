"""What a dataset declares about where its data come from and how many images there should be."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Published numbers of classes and images; None where a dataset has no such part."""

    classes: int
    train: int | None
    val: int | None
    test: int


class Torchvision(NamedTuple):
    """A torchvision dataset that downloads the images, and what of its folder goes where in ours."""

    name: str
    moves: dict


def drive(identity):
    """The page of a file on Google Drive; `gdown <page>` fetches it."""
    return f"https://drive.google.com/file/d/{identity}/view"


IMO_RELEASE = "the IMO authors' release, linked from https://arxiv.org/abs/2409.11338"
CLASSNAMES = drive("1-61f_ol79pViBFDG_IDlUQSwoLcn2XXF")  # names of ImageNet's classes, as CLIP's authors mended them
