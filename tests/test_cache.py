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


def softmax(values):
    powers = [math.exp(v) for v in values]
    return [p / math.fsum(powers) for p in powers]


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


def test_class_probabilities_are_a_softmax_at_temperature_one_half():
    features, classifier = random_features(4), 2 * random_features(5, seed=1)
    expected = [softmax([cosine(f, w) / 0.5 for w in classifier.tolist()]) for f in features.tolist()]
    np.testing.assert_allclose(imo.class_probabilities(features, classifier).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("queries, keys, classes", [(130, 3, 4), (100, 1, 2), (1, 7, 9), (3, 2, 1)])
def test_kl_divergence_matches_a_triple_loop(queries, keys, classes):
    p = torch.softmax(random_features(queries, classes), 1)
    q = torch.softmax(random_features(keys, classes, seed=1), 1)
    expected = np.zeros((queries, keys))
    for i, row in enumerate(p.tolist()):
        for j, key in enumerate(q.tolist()):
            for c in range(classes):
                expected[i, j] += row[c] * (math.log(row[c]) - math.log(key[c]))
    np.testing.assert_allclose(imo.kl_divergence(p, q).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_kl_divergence_of_1000_nearly_equal_classes_keeps_its_digits_in_float32():
    logits = 0.05 * random_features(8, 1000, dtype=torch.float64)
    p = torch.softmax(logits, 1)
    exact = (p[:, None] * (p[:, None] / p[None]).log()).sum(-1)
    np.testing.assert_allclose(imo.kl_divergence(p.float(), p.float()).numpy(), exact.numpy(), atol=2e-6)


def test_kl_divergence_of_a_certain_prediction_is_finite():
    p = torch.tensor([[1.0, 0.0]])
    kl = imo.kl_divergence(p, torch.tensor([[0.25, 0.75], [1.0, 0.0]]))
    np.testing.assert_allclose(kl.numpy(), [[math.log(4), 0.0]], atol=1e-6)


def test_phi_maps_small_divergences_to_minus_the_lowest_affinity():
    kl, affinity = torch.tensor([[0.0, 1.0], [3.0, 4.0]]), torch.tensor([[0.2, 0.4], [1.0, 0.6]])
    phi = imo.Phi.fit(kl, affinity)
    np.testing.assert_allclose(phi(kl).numpy(), [[-0.2, -0.4], [-0.8, -1.0]], rtol=1e-6)


def test_phi_of_equal_divergences_is_finite():
    kl = torch.full((2, 3), 0.7)
    affinity = random_features(2, 3)
    phi = imo.Phi.fit(kl, affinity)
    np.testing.assert_allclose(phi(kl).numpy(), np.full((2, 3), -affinity.min().item()), rtol=1e-6)


def test_a_fitted_phi_scores_a_query_whatever_stands_beside_it():
    phi = imo.Phi.fit(random_features(5, 4).abs(), random_features(5, 4, seed=1))
    kl = random_features(3, 4, seed=2).abs()
    assert torch.equal(phi(kl)[1:2], phi(kl[1:2]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_kl_scores_sum_phi_by_class(layout):
    labels, num_classes = LAYOUTS[layout]
    cache = imo.CacheModel(random_features(len(labels)), torch.tensor(labels), num_classes)
    kl, affinity = random_features(4, len(labels), seed=1).abs(), random_features(4, len(labels), seed=2)
    scores = imo.kl_scores(cache, kl, imo.Phi.fit(kl, affinity))
    k, a = kl.double().numpy(), affinity.double().numpy()
    width = k.max() - k.min()
    rescaled = (k - k.min()) / width * (a.max() - a.min()) + a.min()
    expected = -rescaled @ np.eye(num_classes)[labels]
    np.testing.assert_allclose(scores.numpy(), expected, atol=1e-5)


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


@pytest.mark.parametrize(
    "function, names",
    [(imo.kl_divergence, ("query_probs", "key_probs")), (imo.class_probabilities, ("features", "classifier"))],
)
def test_pairs_of_matrices_are_checked_by_name(function, names):
    good = torch.full((2, 3), 1 / 3)
    for bad in (torch.ones(3), torch.ones(0, 3), good * math.nan, torch.ones(2, 3).long()):
        with pytest.raises(imo.InputError, match=names[0]):
            function(bad, good)
        with pytest.raises(imo.InputError, match=names[1]):
            function(good, bad)
    with pytest.raises(imo.InputError, match="|".join(names)):
        function(good, torch.full((2, 4), 1 / 4))


@pytest.mark.parametrize("labels", [[0, 1, 2], [2, 0, 1], [0, 0, 1]], ids=["even", "shuffled", "ragged"])
@pytest.mark.parametrize("affinity", [torch.ones(1, 4), torch.ones(1, 2), torch.ones(3)], ids=["wide", "narrow", "row"])
def test_class_scores_refuse_an_affinity_to_other_keys(labels, affinity):
    cache = imo.CacheModel(random_features(3), torch.tensor(labels), 3)
    with pytest.raises(imo.InputError, match="affinity"):
        cache.class_scores(affinity, 1.0)


@pytest.mark.parametrize("function", ["affinity", "kl_divergence", "class_probabilities"])
def test_a_second_matrix_of_another_precision_is_refused(function):
    single, double = torch.full((2, 3), 1 / 3), torch.full((2, 3), 1 / 3, dtype=torch.float64)
    cache = imo.CacheModel(single, torch.tensor([0, 1]), 2)
    call = cache.affinity if function == "affinity" else lambda x: getattr(imo, function)(x, single)
    with pytest.raises(imo.InputError, match="float"):
        call(double)
