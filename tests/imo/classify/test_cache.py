import math

import numpy as np
import pytest
import torch

import imo

LAYOUTS = {  # name -> labels of the keys, number of classes
    "even": ([0, 0, 0, 1, 1, 1, 2, 2, 2], 3),
    "even, shuffled": ([2, 0, 1, 1, 0, 2, 0, 2, 1], 3),
    "ragged": ([1, 0, 1, 2, 1, 2], 3),
    "class without keys": ([3, 0, 3, 0], 4),
    "last class without keys": ([1, 0, 0, 1], 3),
    "one shot": ([0, 1, 2, 3], 4),
    "one class": ([0, 0, 0], 1),
    "one key": ([1], 3),
}


def random_features(rows, columns=6, seed=0, dtype=torch.float32):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def cosine(a, b):
    return math.fsum(x * y for x, y in zip(a, b)) / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_class_scores_match_a_loop_over_keys(layout, dtype, tolerance):
    labels, num_classes = LAYOUTS[layout]
    keys, queries = random_features(len(labels), dtype=dtype), 3 * random_features(5, seed=1, dtype=dtype)
    cache = imo.CacheModel(keys, torch.tensor(labels), num_classes)
    for beta in (0.0, 1.0, 5.5):
        expected = np.zeros((5, num_classes))
        for i, query in enumerate(queries.tolist()):
            for key, label in zip(keys.tolist(), labels):
                expected[i, label] += math.exp(-beta * (1 - cosine(query, key)))
        scores = cache.class_scores(cache.affinity(queries), beta)
        assert scores.dtype == dtype
        np.testing.assert_allclose(scores.numpy(), expected, rtol=tolerance, atol=tolerance)


def test_affinity_is_the_cosine_similarity():
    keys, queries = random_features(4), random_features(3, seed=1)
    affinity = imo.CacheModel(keys, torch.tensor([0, 0, 1, 1]), 2).affinity(queries)
    expected = [[cosine(q, k) for k in keys.tolist()] for q in queries.tolist()]
    np.testing.assert_allclose(affinity.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "betas", [(0.0, 0.5, 1.0, 1.5), (0.3, 0.5, 4.0, 4.5, 5.0), (2.0,)], ids=["even", "uneven", "one"]
)
def test_scores_beta_by_beta_match_the_formula(layout, betas):
    labels, num_classes = LAYOUTS[layout]
    keys, queries = (random_features(n, seed=n, dtype=torch.float64) for n in (len(labels), 5))
    weights = torch.rand(len(labels), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    own_keys = torch.tensor([0, len(labels) - 1, 0, len(labels) // 2, 0])
    affinity = imo.CacheModel(keys, torch.tensor(labels), num_classes).affinity(queries)
    one_hot = np.eye(num_classes)[labels]
    for left_out in (None, own_keys):
        for factor in (None, weights):
            cache = imo.CacheModel(keys, torch.tensor(labels), num_classes, factor)
            found = list(cache.scores_by_beta(affinity, betas, left_out))
            assert len(found) == len(betas)
            for beta, scores in zip(betas, found):
                values = np.exp(-beta * (1 - affinity.numpy())) * (1 if factor is None else factor.numpy())
                if left_out is not None:
                    values[np.arange(5), left_out.numpy()] = 0
                np.testing.assert_allclose(scores.numpy(), values @ one_hot, rtol=1e-12)


@pytest.mark.parametrize("weights", [torch.ones(2), torch.ones(3).double(), torch.tensor([1.0, math.nan, 1.0])])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(imo.InputError, match="weights"):
        imo.CacheModel(random_features(3), torch.tensor([0, 1, 1]), 2, weights)


@pytest.mark.parametrize(
    "keys, labels, num_classes, named",
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), 2, "keys"),
        (torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), 2, "keys"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), 2, "keys"),
        (torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64), 2, "keys"),
        ([[1.0, 2.0]], torch.zeros(1, dtype=torch.int64), 2, "keys"),
        (torch.tensor([[1.0, 2.0], [1.0, math.nan]]), torch.zeros(2, dtype=torch.int64), 2, "keys: row 1"),
        (torch.tensor([[math.inf, 2.0]]), torch.zeros(1, dtype=torch.int64), 2, "keys: row 0"),
        (torch.ones(2, 2), torch.zeros(3, dtype=torch.int64), 2, "labels"),
        (torch.ones(2, 2), torch.zeros(2, 1, dtype=torch.int64), 2, "labels"),
        (torch.ones(2, 2), torch.zeros(2, dtype=torch.int32), 2, "labels"),
        (torch.ones(2, 2), torch.zeros(2), 2, "labels"),
        (torch.ones(2, 2), [0, 1], 2, "labels"),
        (torch.ones(2, 2), torch.tensor([0, 2]), 2, "labels"),
        (torch.ones(2, 2), torch.tensor([0, -1]), 2, "labels"),
    ],
)
def test_cache_model_names_the_argument_it_refuses(keys, labels, num_classes, named):
    with pytest.raises(imo.InputError, match=named):
        imo.CacheModel(keys, labels, num_classes)


@pytest.mark.parametrize(
    "bad", [torch.zeros(3), torch.zeros(2, 5), torch.zeros(0, 6), torch.full((1, 6), math.nan), torch.ones(1, 6).long()]
)
def test_affinity_refuses_queries_that_do_not_fit(bad):
    cache = imo.CacheModel(random_features(2), torch.tensor([0, 1]), 2)
    with pytest.raises(imo.InputError, match="queries"):
        cache.affinity(bad)


@pytest.mark.parametrize("labels", [[0, 1, 2], [2, 0, 1], [0, 0, 1]], ids=["even", "shuffled", "ragged"])
@pytest.mark.parametrize("affinity", [torch.ones(1, 4), torch.ones(1, 2), torch.ones(3)], ids=["wide", "narrow", "row"])
def test_class_scores_refuse_an_affinity_to_other_keys(labels, affinity):
    cache = imo.CacheModel(random_features(3), torch.tensor(labels), 3)
    with pytest.raises(imo.InputError, match="affinity"):
        cache.class_scores(affinity, 1.0)


def test_queries_of_another_precision_are_refused():
    cache = imo.CacheModel(torch.ones(2, 3), torch.tensor([0, 1]), 2)
    with pytest.raises(imo.InputError, match="float"):
        cache.affinity(torch.ones(2, 3, dtype=torch.float64))
