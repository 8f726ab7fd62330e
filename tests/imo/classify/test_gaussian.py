"""The Gaussian classifier against sums over samples, and leave-one-out against classifiers fitted without the image."""

import numpy as np
import pytest
import torch

import imo
from imo.classify.gaussian import SharedGaussian

LAYOUTS = {  # labels, number of classes
    "even": ([0, 0, 1, 1, 2, 2], 3),
    "ragged, shuffled": ([2, 0, 1, 0, 2, 0, 1], 3),
    "an image alone in its class": ([0, 0, 1, 2, 2, 2], 3),
    "a class without images": ([3, 0, 3, 0, 1, 1], 4),
}


def random_views(images, passes, size, dtype=torch.float64, seed=0):
    return torch.randn(images, passes, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def reference(views, labels, num_classes, queries):
    """From the paper's formulas, with the covariance as numpy computes it."""
    views = views / np.linalg.norm(views, axis=2, keepdims=True)
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    samples, classes = views.reshape(-1, views.shape[2]), np.repeat(labels, views.shape[1])
    means = {c: samples[classes == c].mean(0) for c in set(classes.tolist())}
    centred = np.stack([x - means[c] for x, c in zip(samples, classes.tolist())])
    sigma = np.cov(centred.T)
    precision = len(sigma) * np.linalg.inv((len(samples) - 1) * sigma + np.trace(sigma) * np.eye(len(sigma)))
    logits = np.full((len(queries), num_classes), -np.inf)
    for c, mean in means.items():
        logits[:, c] = queries @ precision @ mean - mean @ precision @ mean / 2
    return logits


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("passes, size", [(1, 4), (3, 5), (4, 40)])
def test_logits(layout, passes, size):
    labels, classes = LAYOUTS[layout]
    views, queries = random_views(len(labels), passes, size), random_views(4, 1, size, seed=1)[:, 0]
    found = SharedGaussian(views, torch.tensor(labels), classes).logits(queries)
    np.testing.assert_allclose(found.numpy(), reference(views.numpy(), labels, classes, queries.numpy()), rtol=1e-8)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("passes, size", [(1, 4), (3, 5), (4, 40)])
@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_leave_one_out_is_a_fit_without_the_image(layout, passes, size, chunk):
    labels, classes = LAYOUTS[layout]
    views, queries = random_views(len(labels), passes, size), random_views(len(labels), 1, size, seed=1)[:, 0]
    found = SharedGaussian(views, torch.tensor(labels), classes).leave_one_out(queries, chunk=chunk)
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i]
        kept = [labels[j] for j in others]
        expected = reference(views[others].numpy(), kept, classes, queries[i : i + 1].numpy())
        np.testing.assert_allclose(found[i : i + 1].numpy(), expected, rtol=1e-6)


def test_float32_stays_and_is_close():
    labels = torch.tensor([0, 0, 1, 1])
    views = random_views(4, 3, 8)
    exact, single = SharedGaussian(views, labels, 2), SharedGaussian(views.float(), labels, 2)
    assert single.weights.dtype == single.leave_one_out(views[:, 0].float()).dtype == torch.float32
    np.testing.assert_allclose(single.weights.numpy(), exact.weights.numpy(), rtol=1e-4, atol=1e-5)


def test_images_without_spread_say_nothing():
    """One view of one image a class: the covariance is zero, and its pseudo-inverse as in the authors' code too."""
    gaussian = SharedGaussian(random_views(3, 1, 4), torch.arange(3), 3)
    assert not gaussian.logits(random_views(2, 1, 4, seed=1)[:, 0]).any()


def test_bad_input_is_named():
    views, labels = random_views(4, 2, 3), torch.tensor([0, 0, 1, 1])
    for bad, named in (
        ((views[:, 0], labels), "views"),
        ((views * torch.nan, labels), "views"),
        ((views, labels + 1), "labels"),
    ):
        with pytest.raises(imo.InputError, match=named):
            SharedGaussian(*bad, 2)
    with pytest.raises(imo.InputError, match="queries: expected one for each of 4 images, got 3"):
        SharedGaussian(views, labels, 2).leave_one_out(views[:3, 0])
