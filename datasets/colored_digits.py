"""Digits, each on a random paper colour in a random ink."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.digits import Digits


@DATASET_REGISTRY.register()
class ColoredDigits(Digits):
    """After Colored MNIST (Arjovsky et al., "Invariant Risk Minimization", 2019, https://arxiv.org/abs/1907.02893),
    with one fixed random colouring an image; unlike there, colours do not depend on the class."""

    dataset_dir = "colored_digits"
    coloured = True
