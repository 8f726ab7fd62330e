"""What methods are written with.

This package imports PyTorch alone. Its modules that bring a method to Dassl (`method_trainer`, `registry` and what they
use) need Dassl, and are imported by `imo.trainers.register`.
"""

from imo.trainers.base.gradient import GradientMethod, Training
from imo.trainers.base.methods import METHODS, Method, cache_method, method
from imo.trainers.base.task import Queries, Task, TextClassifier

__all__ = [
    "METHODS",
    "GradientMethod",
    "Method",
    "Queries",
    "Task",
    "TextClassifier",
    "Training",
    "cache_method",
    "method",
]
