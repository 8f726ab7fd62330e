"""Oxford-IIIT Pet: 37 breeds of cats and dogs."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Item, Sizes, Split, SplitDataset, Torchvision, drive, hold_out


@DATASET_REGISTRY.register()
class OxfordPets(SplitDataset):
    """Parkhi et al., "Cats and dogs", CVPR 2012, https://www.robots.ox.ac.uk/~vgg/data/pets."""

    dataset_dir = "oxford_pets"
    split_file = "split_zhou_OxfordPets.json"
    templates = ("a photo of a {}, a type of pet.",)
    sizes = Sizes(37, 2944, 736, 3669)
    sources = {
        "images/": "https://www.robots.ox.ac.uk/~vgg/data/pets (images.tar.gz)",
        "annotations/": "https://www.robots.ox.ac.uk/~vgg/data/pets (annotations.tar.gz)",
        "split_zhou_OxfordPets.json": drive("1501r8Ber4nNKvmlFVQZ8SeUHTcdTTEqs"),
    }
    torchvision = Torchvision(
        "OxfordIIITPet", {"oxford-iiit-pet/images": "images", "oxford-iiit-pet/annotations": "annotations"}
    )

    def fallback(self) -> Split:
        return Split(*hold_out(self.listed("trainval.txt")), self.listed("test.txt"))

    def listed(self, name: str) -> list[Item]:
        """The images of lines `<image> <class, from 1> <species> <breed>`; <image> is `<class name>_<number>`."""
        rows = [line.split() for line in self.lines(f"annotations/{name}")]
        return [Item(f"{row[0]}.jpg", int(row[1]) - 1, row[0].rpartition("_")[0].lower()) for row in rows]
