"""Stanford Dogs: 120 breeds."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import IMO_RELEASE, Sizes, SplitDataset


@DATASET_REGISTRY.register()
class StanfordDogs(SplitDataset):
    """Khosla et al., "Novel dataset for fine-grained image categorization", CVPR workshop 2011,
    http://vision.stanford.edu/aditya86/ImageNetDogs.

    The split is the IMO authors'.
    """

    dataset_dir = "stanford_dogs"
    image_dir = "Images"
    split_file = "split_alexey_stanford_dogs.json"
    sizes = Sizes(120, 6122, 6122, 8336)
    sources = {
        "Images/": "http://vision.stanford.edu/aditya86/ImageNetDogs (images.tar)",
        "split_alexey_stanford_dogs.json": IMO_RELEASE,
    }
