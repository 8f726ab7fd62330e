"""Evaluators: they collect predictions by batch and compute results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from yacs.config import CfgNode

from imo.files import atomic_path

from ..metrics import macro_f1
from .build import EVALUATOR_REGISTRY


class EvaluatorBase:
    """The methods that a trainer calls."""

    def __init__(self, cfg: CfgNode) -> None:
        self.cfg = cfg

    def reset(self) -> None:
        """Forget all batches so far."""
        raise NotImplementedError

    def process(self, mo: torch.Tensor, gt: torch.Tensor) -> None:
        """Add a batch: model output and true labels."""
        raise NotImplementedError

    def evaluate(self) -> dict[str, float]:
        """Print and return the results by name; the first is the one by which models are chosen."""
        raise NotImplementedError


@EVALUATOR_REGISTRY.register()
class Classification(EvaluatorBase):
    """Accuracy, error rate and macro F1, in percent.

    TEST.PER_CLASS_RESULT adds the accuracy of each class, TEST.COMPUTE_CMAT a confusion matrix in OUTPUT_DIR/cmat.pt.
    """

    def __init__(self, cfg: CfgNode, lab2cname: Mapping[int, str] | None = None, **kwargs: Any) -> None:
        super().__init__(cfg)
        if cfg.TEST.PER_CLASS_RESULT and lab2cname is None:
            raise ValueError("TEST.PER_CLASS_RESULT needs the names of the classes")
        self._lab2cname = lab2cname or {}
        self.reset()

    def reset(self) -> None:
        """Forget all batches so far."""
        self._y_true: list[int] = []
        self._y_pred: list[int] = []

    def process(self, mo: torch.Tensor, gt: torch.Tensor) -> None:
        """Add a batch: scores (N, C) and labels (N,)."""
        self._y_true += gt.tolist()
        self._y_pred += mo.max(dim=1).indices.tolist()

    def evaluate(self) -> dict[str, float]:
        """Print and return the results of all batches, in percent."""
        true, pred = np.array(self._y_true), np.array(self._y_pred)
        total, correct = len(true), int(np.sum(true == pred))
        accuracy = 100.0 * correct / total
        results = {
            "accuracy": accuracy,
            "error_rate": 100.0 - accuracy,
            "macro_f1": 100.0 * macro_f1(true, pred),
        }
        print(
            "=> result\n"
            f"* total: {total:,}\n"
            f"* correct: {correct:,}\n"
            f"* accuracy: {accuracy:.1f}%\n"
            f"* error: {results['error_rate']:.1f}%\n"
            f"* macro_f1: {results['macro_f1']:.1f}%"
        )
        if self.cfg.TEST.PER_CLASS_RESULT:
            results["perclass_accuracy"] = self._per_class(true, pred)
        if self.cfg.TEST.COMPUTE_CMAT:
            self._save_confusion(true, pred)
        return results

    def _per_class(self, true: npt.NDArray[Any], pred: npt.NDArray[Any]) -> float:
        """Print the accuracy of each class in percent and return their mean."""
        print("=> per-class result")
        accuracies = []
        for label in np.unique(true).tolist():
            hits = pred[true == label] == label
            accuracies.append(100.0 * float(hits.mean()))
            print(
                f"* class: {label} ({self._lab2cname[label]})\ttotal: {len(hits):,}\t"
                f"correct: {int(hits.sum()):,}\tacc: {accuracies[-1]:.1f}%"
            )
        average = float(np.mean(accuracies))
        print(f"* average: {average:.1f}%")
        return average

    def _save_confusion(self, true: npt.NDArray[Any], pred: npt.NDArray[Any]) -> None:
        """Write the confusion matrix: row i, column j is the share of images of class i predicted as class j."""
        labels, codes = torch.from_numpy(np.stack([true, pred])).unique(return_inverse=True)
        size = len(labels)
        counts = torch.bincount(codes[0] * size + codes[1], minlength=size**2).view(size, size).double()
        path = os.path.join(self.cfg.OUTPUT_DIR, "cmat.pt")
        with atomic_path(path) as temporary:
            torch.save(counts / counts.sum(dim=1, keepdim=True).clamp(min=1), temporary)
        print(f"Confusion matrix is saved to {path}")
