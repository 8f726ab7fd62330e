"""Oxford Flowers: 102 flowers common in the United Kingdom."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Item, Sizes, Split, SplitDataset, Torchvision, drive, stratified


@DATASET_REGISTRY.register()
class OxfordFlowers(SplitDataset):
    """Nilsback & Zisserman, "Automated flower classification over a large number of classes", ICVGIP 2008,
    https://www.robots.ox.ac.uk/~vgg/data/flowers/102."""

    dataset_dir = "oxford_flowers"
    image_dir = "jpg"
    split_file = "split_zhou_OxfordFlowers.json"
    templates = ("a photo of a {}, a type of flower.",)
    sizes = Sizes(102, 4093, 1633, 2463)
    sources = {
        "jpg/": "https://www.robots.ox.ac.uk/~vgg/data/flowers/102 (102flowers.tgz)",
        "split_zhou_OxfordFlowers.json": drive("1Pp0sRXzZFZq15zVOzKjKBu4A9i01nozT"),
        "imagelabels.mat": "https://www.robots.ox.ac.uk/~vgg/data/flowers/102",
        "cat_to_name.json": drive("1AkcxCXeK_RCGCEC_GvmWxjcjaNhu-at0"),
    }
    torchvision = Torchvision(
        "Flowers102", {"flowers-102/jpg": "jpg", "flowers-102/imagelabels.mat": "imagelabels.mat"}
    )

    def fallback(self) -> Split:
        names = self.json("cat_to_name.json")
        labels = self.mat("imagelabels.mat", "labels").tolist()
        items = [Item(f"image_{i:05d}.jpg", label - 1, names[str(label)]) for i, label in enumerate(labels, 1)]
        return stratified(items)
