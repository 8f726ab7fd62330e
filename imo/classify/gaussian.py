"""Gaussian discriminant analysis with one covariance for all classes, and its exact leave-one-out.

Source: Wang et al., "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation", ICLR 2024,
https://arxiv.org/abs/2402.04087.

For n samples x of size d, with class means mu_c, the scatter is `S = sum (x - mu_y)(x - mu_y)^T = (n - 1) Sigma`. The
inverse covariance is estimated as `P = d (S + tr(Sigma) I)^-1` (Kubokawa and Srivastava, 2008). With equal class
priors the logits of a feature f are `f P mu_c - mu_c P mu_c / 2`, up to a term that all classes share.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from imo.checks import check_labels, check_matrix
from imo.errors import InputError


class SharedGaussian:
    """The classifier that a support set gives.

    Args:
        views: (M, p, d) floating, features of p views of each image, each of which is a sample; normalised here.
        labels: (M,) int64.
        num_classes: C.

    Attributes:
        weights: (C, d), zero for a class without samples.
        bias: (C,), -inf for a class without samples.

    Raises:
        InputError: wrong shapes, dtypes or labels, NaN.
    """

    def __init__(self, views: torch.Tensor, labels: torch.Tensor, num_classes: int) -> None:
        if not torch.is_tensor(views) or views.ndim != 3 or not len(views):
            got = tuple(views.shape) if torch.is_tensor(views) else type(views).__name__
            raise InputError(f"views: expected shape (M, p, d) and at least one image, got {got}")
        rows = check_matrix("views", views.flatten(0, 1))
        check_labels("labels", labels, len(views), num_classes)
        self._labels, self._dtype = labels, rows.dtype
        samples = F.normalize(views.double(), dim=-1)
        self._passes, self._size = samples.shape[1:]
        one_hot = F.one_hot(labels, num_classes).double()
        self._counts = one_hot.sum(0) * self._passes  # (C,) samples
        self._means = (one_hot.T @ samples.sum(1)) / self._counts.clamp(min=1)[:, None]
        centred = (samples - self._means[labels][:, None]).flatten(0, 1)
        values, self._basis = torch.linalg.eigh(centred.T @ centred)
        self._values = values.clamp(min=0)
        # From here on all vectors are in the eigenbasis of S, in which S + t I is diagonal for every t.
        self._means, self._samples = self._means @ self._basis, samples @ self._basis
        scaled = self._size * self._means * self._inverse(self._values.sum() / max(len(centred) - 1, 1))
        self.weights = (scaled @ self._basis.T).to(self._dtype)
        quadratic = (scaled * self._means).sum(1)
        self.bias = torch.where(self._counts > 0, -quadratic / 2, -torch.inf).to(self._dtype)

    def logits(self, queries: torch.Tensor) -> torch.Tensor:
        """Logits (N, C) of queries (N, d), which are normalised here."""
        queries = check_matrix("queries", queries, self._size, self._dtype)
        found: torch.Tensor = F.normalize(queries, dim=-1) @ self.weights.T + self.bias
        return found

    def leave_one_out(self, queries: torch.Tensor, chunk: int = 64) -> torch.Tensor:
        """Logits (M, C) of query i under the classifier that all images but the i-th give; -inf for a class that has no
        other image.

        Without image i the scatter is `S - R R^T`, where R has p + 1 columns: the image's views less their mean m, and
        `sqrt(n_c p / (n_c - p)) (mu_c - m)` for the image's class c with n_c samples. In the eigenbasis of S the matrix
        to invert is diagonal less these p + 1 dimensions, which Woodbury's identity inverts without a new
        decomposition.

        Args:
            queries: (M, d), one for each image of the support set; normalised here.
            chunk: rows in memory at a time; no effect on the result.

        Raises:
            InputError: wrong shape, NaN, or another number of queries than images.
        """
        check_matrix("queries", queries, self._size)
        if len(queries) != len(self._labels):
            raise InputError(f"queries: expected one for each of {len(self._labels)} images, got {len(queries)}")
        queries = F.normalize(queries.double(), dim=-1) @ self._basis
        rows = torch.arange(len(queries)).split(chunk)
        return torch.cat([self._left_out(queries[part], part) for part in rows]).to(self._dtype)

    def _left_out(self, queries: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Logits (B, C) of queries (B, d), in the eigenbasis, without the images at `rows` (B,)."""
        labels, views, passes = self._labels[rows], self._samples[rows], self._passes
        own, centre = self._counts[labels], views.mean(1)  # (B,), (B, d)
        remaining = own - passes
        away = self._means[labels] - centre
        shift = (own * passes / remaining.clamp(min=1)).sqrt()[:, None] * away
        factor = torch.cat([views - centre[:, None], shift[:, None]], dim=1)  # (B, p + 1, d): R^T
        trace = (self._values.sum() - factor.square().sum((1, 2))).clamp(min=0)
        inverse = self._inverse(trace[:, None] / max(int(self._counts.sum()) - passes - 1, 1))  # (B, d)
        own_mean = self._means[labels] + (passes / remaining.clamp(min=1))[:, None] * away

        scaled = factor * inverse[:, None]
        identity = torch.eye(passes + 1, dtype=factor.dtype)
        core = torch.linalg.pinv(identity - scaled @ factor.transpose(1, 2), hermitian=True)  # (B, p + 1, p + 1)
        of_query = torch.einsum("bkd,bd->bk", scaled, queries)
        of_own = torch.einsum("bkd,bd->bk", scaled, own_mean)
        of_means = scaled @ self._means.T  # (B, p + 1, C)

        linear = (queries * inverse) @ self._means.T + torch.einsum("bk,bkl,blc->bc", of_query, core, of_means)
        quadratic = inverse @ self._means.square().T + (of_means * (core @ of_means)).sum(1)
        logits = linear - quadratic / 2
        linear = (queries * inverse * own_mean).sum(1) + torch.einsum("bk,bkl,bl->b", of_query, core, of_own)
        quadratic = (inverse * own_mean.square()).sum(1) + torch.einsum("bk,bkl,bl->b", of_own, core, of_own)
        own_logits = torch.where(remaining > 0, linear - quadratic / 2, -torch.inf)
        logits[:, self._counts == 0] = -torch.inf
        logits[torch.arange(len(rows)), labels] = own_logits
        scaled_up: torch.Tensor = logits * self._size
        return scaled_up

    def _inverse(self, ridge: torch.Tensor) -> torch.Tensor:
        """Diagonal of `(S + ridge I)^-1` in the eigenbasis; 0 in a direction without any variance."""
        diagonal = self._values + ridge
        return torch.where(diagonal > 1e-12, 1 / diagonal, 0.0)
