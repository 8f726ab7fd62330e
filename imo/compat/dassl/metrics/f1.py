"""Macro-averaged F1 score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def macro_f1(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> float:
    """The mean F1 score, in 0..1, over the classes that occur in y_true; both arguments are (N,) labels."""
    true: npt.NDArray[Any] = np.asarray(y_true)
    pred: npt.NDArray[Any] = np.asarray(y_pred)
    size = int(max(true.max(), pred.max())) + 1
    support = np.bincount(true, minlength=size)
    hits = np.bincount(true[true == pred], minlength=size)
    present = support > 0
    # F1 = 2 TP / (2 TP + FP + FN); the denominator is the number predicted plus the number present.
    total = (support + np.bincount(pred, minlength=size))[present]
    return float(np.mean(2.0 * hits[present] / total))
