"""1,797 handwritten digits of 43 people, 8 x 8 pixels (scikit-learn's copy of the UCI test set)."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.making.handwriting import Handwriting


@DATASET_REGISTRY.register()
class Digits(Handwriting):
    """Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998, https://doi.org/10.24432/C50P49."""

    dataset_dir = "digits"

    def load(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """(1797, 8, 8) ink, and labels."""
        from sklearn.datasets import load_digits

        data = load_digits()
        return data.images / 16, data.target
