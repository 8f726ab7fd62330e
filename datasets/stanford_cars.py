"""Stanford Cars: 196 makes, models and years."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Item, Sizes, Split, SplitDataset, drive, hold_out

COPY = "https://www.kaggle.com/datasets/jessicali9530/stanford-cars-dataset (the first site is gone)"


@DATASET_REGISTRY.register()
class StanfordCars(SplitDataset):
    """Krause et al., "3D object representations for fine-grained categorization", ICCV workshop 2013.

    https://github.com/pytorch/vision/issues/7545 links copies of all files.
    """

    dataset_dir = "stanford_cars"
    image_dir = "."
    split_file = "split_zhou_StanfordCars.json"
    sizes = Sizes(196, 6509, 1635, 8041)
    sources = {
        "cars_train/": COPY,
        "cars_test/": COPY,
        "split_zhou_StanfordCars.json": drive("1ObCFbaAgVu0I-k_Au-gIUcefirdAuizT"),
        "devkit/": "https://github.com/pytorch/vision/issues/7545 (car_devkit.tgz)",
        "cars_test_annos_withlabels.mat": "https://github.com/pytorch/vision/issues/7545",
    }
    unfit = {"car_ims": "numbers the images anew, so that no split fits; take a copy with cars_train/ and cars_test/"}
    mirrors = {"cars_test_annos_withlabels.mat": "cars_test_annos_withlabels (1).mat"}  # Kaggle's name

    def fallback(self) -> Split:
        train, val = hold_out(self.annotated("cars_train", "devkit/cars_train_annos.mat"))
        return Split(train, val, self.annotated("cars_test", "cars_test_annos_withlabels.mat"))

    def annotated(self, folder: str, name: str) -> list[Item]:
        """The images of a folder by its annotations file; class "Make Model 2012" becomes "2012 Make Model"."""
        names = [str(name).rpartition(" ") for name in self.mat("devkit/cars_meta.mat", "class_names")]
        rows = [(str(row["fname"]), int(row["class"]) - 1) for row in self.mat(name, "annotations")]
        return [Item(f"{folder}/{file}", label, f"{names[label][2]} {names[label][0]}") for file, label in rows]
