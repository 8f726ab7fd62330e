"""Linear probe: logistic regression on CLIP's image features."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from tqdm import tqdm

from imo.errors import InputError
from imo.trainers.base import Method, Queries, Task, method

COARSE = (6.0, 4.0, 2.0, 0.0, -2.0, -4.0, -6.0)  # powers of ten, the first of the best is taken
STEPS = 8
WITHOUT_SEARCH = 0.316  # CLIP's own, https://github.com/openai/CLIP

Score = Callable[[float], float]  # C -> accuracy, a fraction


@method
class LinearProbe(Method):
    """Multinomial logistic regression with an L2 penalty (scikit-learn) on un-augmented, un-normalised image features.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
    https://arxiv.org/abs/2103.00020, as CoOp runs it on few shots (Zhou et al., IJCV 2022, its lpclip): C from seven
    powers of ten on validation images, then eight steps that halve the range about the best. Uses no text.

    Without validation images (protocol `support`), C is searched the same way by stratified cross-validation (up to 5
    folds) on the support set; with one image of a class there is none, and C is CLIP's 0.316.
    """

    correction = "none"
    training_free = False

    def fit(self, task: Task) -> None:
        features, labels = task.support.features.numpy(), task.labels.numpy()
        if len(set(labels)) < 2:
            raise InputError("DATASET.NAME: has support images of one class; LinearProbe needs at least two")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lbfgs may end at its 1,000 iterations, as in lpclip
            score = self.scorer(task, features, labels)
            strength = search_strength(score) if score else WITHOUT_SEARCH
            fitted = regression(strength).fit(features, labels)
        self.settings["C"] = strength
        self.weights, self.bias = linear_form(fitted, len(task.text))
        if score:
            self.tuning_accuracy = 100.0 * score(strength)
            self.chosen_by = "cross-validation" if task.leaves_one_out else "validation"

    def scorer(self, task: Task, features: Any, labels: Any) -> Score | None:
        """The accuracy of a C on the tuning queries; None where there is nothing to measure it on."""
        if not task.leaves_one_out:
            queries, targets = task.tuning.features.numpy(), task.tuning.targets.numpy()
            return lambda strength: float(regression(strength).fit(features, labels).score(queries, targets))
        folds = min(5, int(torch.tensor(labels).unique(return_counts=True)[1].min()))
        if folds < 2:
            return None
        from sklearn.model_selection import StratifiedKFold, cross_val_score

        parts = StratifiedKFold(folds, shuffle=True, random_state=max(task.seed, 0))
        return lambda strength: float(cross_val_score(regression(strength), features, labels, cv=parts).mean())

    def logits(self, queries: Queries) -> torch.Tensor:
        return queries.features @ self.weights.T + self.bias

    def restrict(self, classes: torch.Tensor) -> None:
        self.weights, self.bias = self.weights[classes], self.bias[classes]


def regression(strength: float) -> Any:
    """A logistic regression that is not fitted yet; `strength` is scikit-learn's C."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise InputError("LinearProbe needs scikit-learn; pip install scikit-learn") from error
    return LogisticRegression(C=strength, max_iter=1000)


def search_strength(score: Score) -> float:
    """The C at which lpclip's search ends."""
    at = functools.cache(lambda power: score(10.0**power))
    peak = max(tqdm(COARSE, desc="Search of C"), key=at)
    low, high = peak - 1, peak + 1
    for _ in range(STEPS):
        middle = (low + high) / 2
        best, low, high = (high, middle, high) if at(low) < at(high) else (low, low, middle)
    return float(10.0**best)


def linear_form(fitted: Any, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(C, d) weights and (C,) bias of a fitted regression, whose argmax is its prediction; absent classes never win."""
    coefficients, intercept = torch.tensor(fitted.coef_), torch.tensor(fitted.intercept_)
    if len(fitted.classes_) == 2:  # one row, of the second class
        coefficients, intercept = torch.cat([-coefficients, coefficients]) / 2, torch.cat([-intercept, intercept]) / 2
    weights = torch.zeros(num_classes, coefficients.shape[1])
    bias = torch.full((num_classes,), -torch.inf)
    present = torch.tensor(fitted.classes_)
    weights[present], bias[present] = coefficients.float(), intercept.float()
    return weights, bias
