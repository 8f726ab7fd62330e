"""ImageNet-A: photographs of 200 of ImageNet's classes that a ResNet-50 gets wrong."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import CLASSNAMES, ImageNetVariant, Sizes


@DATASET_REGISTRY.register()
class ImageNetA(ImageNetVariant):
    """Hendrycks et al., "Natural adversarial examples", CVPR 2021, https://arxiv.org/abs/1907.07174."""

    dataset_dir = "imagenet-adversarial"
    image_dir = "imagenet-a"
    sizes = Sizes(200, None, None, 7500)
    sources = {
        "imagenet-a/": "https://github.com/hendrycks/natural-adv-examples (imagenet-a.tar)",
        "classnames.txt": CLASSNAMES,
    }
