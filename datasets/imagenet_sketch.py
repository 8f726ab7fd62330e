"""ImageNet-Sketch: black and white sketches of ImageNet's classes."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import CLASSNAMES, ImageNetVariant, Sizes


@DATASET_REGISTRY.register()
class ImageNetSketch(ImageNetVariant):
    """Wang et al., "Learning robust global representations by penalizing local predictive power", NeurIPS 2019,
    https://arxiv.org/abs/1905.13549."""

    dataset_dir = "imagenet-sketch"
    mirrors = {"images": "sketch"}  # the archive's own name for the folder
    sizes = Sizes(1000, None, None, 50889)
    sources = {
        "images/": "https://github.com/HaohanWang/ImageNet-Sketch (ImageNet-Sketch.zip)",
        "classnames.txt": CLASSNAMES,
    }
