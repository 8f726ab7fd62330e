"""Linear probe: logistic regression on CLIP's image features."""

import functools
import warnings

import torch
from dassl.engine import TRAINER_REGISTRY
from tqdm import tqdm

from imo.errors import InputError
from imo.trainers.base.training_free import TrainingFreeTrainer

COARSE = (6.0, 4.0, 2.0, 0.0, -2.0, -4.0, -6.0)  # powers of ten, the first of the best is taken
STEPS = 8
WITHOUT_SEARCH = 0.316  # CLIP's own, https://github.com/openai/CLIP


@TRAINER_REGISTRY.register()
class LinearProbe(TrainingFreeTrainer):
    """Multinomial logistic regression with an L2 penalty (scikit-learn) on un-augmented, un-normalised image features.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
    https://arxiv.org/abs/2103.00020, as CoOp runs it on few shots (Zhou et al., IJCV 2022, its lpclip): C from seven
    powers of ten on validation images, then eight steps that halve the range about the best. Uses no text.

    Without validation images (protocol `support`), C is searched the same way by stratified cross-validation (up to 5
    folds) on the support set; with one image of a class there is none, and C is CLIP's 0.316.
    """

    correction = "none"
    training_free = False

    def fit(self):
        features, labels = self.features("support").numpy(), self.support_labels().numpy()
        if len(set(labels)) < 2:
            raise InputError(
                f"DATASET.NAME: {self.cfg.DATASET.NAME} has support images of one class; LinearProbe needs at least two"
            )
        with self.stage("search"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lbfgs may end at its 1,000 iterations, as in lpclip
            score = self.scorer(features, labels)
            strength = search_strength(score) if score else WITHOUT_SEARCH
            fitted = regression(strength).fit(features, labels)
        self.state.set(C=strength)
        self.state.weights, self.state.bias = linear_form(fitted, self.num_classes)
        if self.tuning_split == "support":
            self.tuned_on = "support (cross-validation)" if score else "nothing"
        if score:
            self.val_accuracy = 100.0 * score(strength)
            print(f"Search: C {strength:.4g}, accuracy {self.val_accuracy:.2f}%")

    def scorer(self, features, labels):
        """The accuracy of a C on the tuning split, a fraction; None where there is nothing to measure it on."""
        if self.tuning_split == "val":
            queries, targets = self.features("val").numpy(), self.targets("val").numpy()
            return lambda strength: regression(strength).fit(features, labels).score(queries, targets)
        folds = min(5, int(torch.tensor(labels).unique(return_counts=True)[1].min()))
        if folds < 2:
            return None
        from sklearn.model_selection import StratifiedKFold, cross_val_score

        parts = StratifiedKFold(folds, shuffle=True, random_state=max(self.cfg.SEED, 0))
        return lambda strength: cross_val_score(regression(strength), features, labels, cv=parts).mean()

    def logits(self, split):
        return self.features(split) @ self.state.weights.T + self.state.bias

    def restrict(self, source_classes):
        self.state.weights, self.state.bias = self.state.weights[source_classes], self.state.bias[source_classes]


def regression(strength):
    """A logistic regression that is not fitted yet."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise InputError("LinearProbe needs scikit-learn; pip install scikit-learn") from error
    return LogisticRegression(C=strength, max_iter=1000)


def search_strength(score):
    """The C that lpclip's search ends at. `score` maps a C to what is to be large."""
    at = functools.lru_cache(None)(lambda power: score(10.0**power))
    peak = max(tqdm(COARSE, desc="Search of C"), key=at)
    low, high = peak - 1, peak + 1
    for _ in range(STEPS):
        middle = (low + high) / 2
        best, low, high = (high, middle, high) if at(low) < at(high) else (low, low, middle)
    return 10.0**best


def linear_form(fitted, num_classes):
    """(C, d) weights and (C,) bias of a fitted regression, whose argmax is its prediction; absent classes never win."""
    coefficients, intercept = torch.tensor(fitted.coef_), torch.tensor(fitted.intercept_)
    if len(fitted.classes_) == 2:  # one row, of the second class
        coefficients, intercept = torch.cat([-coefficients, coefficients]) / 2, torch.cat([-intercept, intercept]) / 2
    weights = torch.zeros(num_classes, coefficients.shape[1])
    bias = torch.full((num_classes,), -torch.inf)
    present = torch.tensor(fitted.classes_)
    weights[present], bias[present] = coefficients.float(), intercept.float()
    return weights, bias
