"""Measures of a prediction."""

from .accuracy import compute_accuracy
from .f1 import macro_f1

__all__ = ["compute_accuracy", "macro_f1"]
