"""FGVC-Aircraft: 100 variants of aircraft."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Item, Sizes, Split, SplitDataset, Torchvision

LISTS = ("variants.txt", *(f"images_variant_{part}.txt" for part in Split._fields))
ARCHIVE = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft (fgvc-aircraft-2013b.tar.gz, its folder data)"


@DATASET_REGISTRY.register()
class FGVCAircraft(SplitDataset):
    """Maji et al., "Fine-grained visual classification of aircraft", 2013, https://arxiv.org/abs/1306.5151.

    It comes with its own lists of training, validation and test images.
    """

    dataset_dir = "fgvc_aircraft"
    templates = ("a photo of a {}, a type of aircraft.",)
    sizes = Sizes(100, 3334, 3333, 3333)
    sources = dict.fromkeys(("images/", *LISTS), ARCHIVE)
    mirrors = {name: f"data/{name}" for name in ("images", *LISTS)}  # the archive's folder
    torchvision = Torchvision("FGVCAircraft", {f"fgvc-aircraft-2013b/data/{name}": name for name in ("images", *LISTS)})

    def fallback(self) -> Split:
        labels = {name: label for label, name in enumerate(self.lines("variants.txt"))}
        return Split(
            *(
                [Item(f"{image}.jpg", labels[name], name) for image, name in self.listed(f"images_variant_{part}.txt")]
                for part in Split._fields
            )
        )

    def listed(self, name: str) -> list[list[str]]:
        """[image, variant] for each line `<image> <variant>`; a variant's name may hold spaces."""
        return [line.split(" ", 1) for line in self.lines(name)]
