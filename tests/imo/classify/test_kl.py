import math

import numpy as np
import pytest
import torch
from test_cache import LAYOUTS, cosine, random_features

import imo


def softmax(values):
    powers = [math.exp(v) for v in values]
    return [p / math.fsum(powers) for p in powers]


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
    phi = imo.Phi(kl_low=0.0, kl_high=4.0, low=0.2, high=1.0)
    np.testing.assert_allclose(
        phi(torch.tensor([[0.0, 1.0], [3.0, 4.0]])).numpy(), [[-0.2, -0.4], [-0.8, -1.0]], rtol=1e-6
    )


@pytest.mark.parametrize("noise", [0.0, 3e-8])
def test_phi_of_equal_divergences_is_constant(noise):
    """Also where they differ by rounding alone, as when no prompt means anything to the backbone."""
    phi = imo.Phi(kl_low=0.7, kl_high=0.7 + noise, low=0.1, high=0.9)
    np.testing.assert_allclose(phi(torch.tensor([[0.7, 0.7 + noise]])).numpy(), [[-0.1, -0.1]], rtol=1e-6)


def problem(labels, num_classes, rows, dtype=torch.float64):
    """A cache, queries, and class probabilities of queries and keys; over five classes, whatever the cache's number."""
    keys, queries = (random_features(n, seed=n, dtype=dtype) for n in (len(labels), rows))
    classifier = random_features(num_classes, seed=5, dtype=dtype)
    cache = imo.CacheModel(keys, torch.tensor(labels), num_classes)
    return cache, queries, imo.class_probabilities(queries, classifier), imo.class_probabilities(keys, classifier)


def reference(cache, queries, query_probs, key_probs, own_keys):
    """phi's four numbers and `phi(-KL) L` from whole matrices; a query's own key is nowhere."""
    p, q = query_probs.double().numpy()[:, None], key_probs.double().numpy()[None]
    kl = (p * np.log(p / q)).sum(-1)
    affinity = cache.affinity(queries).double().numpy()
    present = np.ones(kl.shape, dtype=bool)
    if own_keys is not None:
        present[np.arange(len(kl)), own_keys.numpy()] = False
    low, high = kl[present].min(), kl[present].max()
    a_low, a_high = affinity[present].min(), affinity[present].max()
    scaled = (kl - low) / (high - low) * (a_high - a_low) + a_low
    return (low, high, a_low, a_high), -(scaled * present) @ np.eye(cache.num_classes)[cache.labels.numpy()]


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("one key", "one class")])
@pytest.mark.parametrize("leave_one_out", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 256])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_kl_scores_and_ranges_match_whole_matrices(layout, leave_one_out, chunk, dtype, tolerance):
    arguments = problem(*LAYOUTS[layout], rows=7, dtype=dtype)
    cache = arguments[0]
    own_keys = torch.arange(7) % len(cache.labels) if leave_one_out else None
    ranges, expected = reference(*arguments, own_keys)
    phi = imo.Phi.fit(*arguments, own_keys, chunk)
    np.testing.assert_allclose((phi.kl_low, phi.kl_high, phi.low, phi.high), ranges, atol=tolerance)
    scores = imo.kl_scores(cache, *arguments[2:], phi, own_keys)
    np.testing.assert_allclose(scores.numpy(), expected, atol=10 * tolerance)


def test_a_fitted_phi_scores_a_query_whatever_stands_beside_it():
    cache, queries, query_probs, key_probs = problem(*LAYOUTS["ragged"], rows=7)
    phi = imo.Phi.fit(cache, queries, query_probs, key_probs)
    alone = imo.kl_scores(cache, query_probs[2:3], key_probs, phi)
    torch.testing.assert_close(imo.kl_scores(cache, query_probs, key_probs, phi)[2:3], alone, rtol=1e-12, atol=0)


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


@pytest.mark.parametrize("function", [imo.kl_divergence, imo.class_probabilities])
def test_a_second_matrix_of_another_precision_is_refused(function):
    single = torch.full((2, 3), 1 / 3)
    with pytest.raises(imo.InputError, match="float"):
        function(single.double(), single)
