"""1,797 handwritten digits of 43 people, 8 x 8 pixels (scikit-learn's copy of the UCI test set)."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.making.handwriting import Handwriting


@DATASET_REGISTRY.register()
class Digits(Handwriting):
    """Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998, https://doi.org/10.24432/C50P49."""

    dataset_dir = "digits"

    def load(self):
        from sklearn.datasets import load_digits

        data = load_digits()
        return data.images / 16, data.target
