"""ImageNet-R: drawings, paintings, toys and other renditions of 200 of ImageNet's classes."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import CLASSNAMES, ImageNetVariant, Sizes


@DATASET_REGISTRY.register()
class ImageNetR(ImageNetVariant):
    """Hendrycks et al., "The many faces of robustness", ICCV 2021, https://arxiv.org/abs/2006.16241."""

    dataset_dir = "imagenet-rendition"
    image_dir = "imagenet-r"
    sizes = Sizes(200, None, None, 30000)
    sources = {
        "imagenet-r/": "https://github.com/hendrycks/imagenet-r (imagenet-r.tar)",
        "classnames.txt": CLASSNAMES,
    }
