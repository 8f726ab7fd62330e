"""Half precision is computed in float32: the same settings win as with the same numbers in a longer format."""

import numpy as np
import pytest
import torch
from test_search import GRID, brute_force, random_problem, tied_problem

import imo
from imo.classify.gaussian import SharedGaussian
from imo.classify.kernel_ridge import KernelRidge
from imo.classify.probes import class_multipliers, class_sums, mean_own_similarity, step_sizes

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
HALVES = DTYPES[:2]
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def plain(zero_shot, cache, queries, targets, grid, prior=None):
    """Right samples (A, B, G), the logits of each setting computed in float64 from the cache's own scores."""
    affinity, correct = cache.affinity(queries), np.zeros((len(grid.alphas), len(grid.betas), len(grid.gammas)), int)
    for b, scores in enumerate(cache.scores_by_beta(affinity, grid.betas)):
        for a, alpha in enumerate(grid.alphas):
            for g, gamma in enumerate(grid.gammas):
                logits = zero_shot.double() + alpha * scores.double()
                logits += gamma * prior.double() if prior is not None else 0
                correct[a, b, g] = (logits.argmax(1) == targets).sum()
    return correct


@dtypes
@pytest.mark.parametrize("with_prior", [False, True], ids=["Tip-Adapter", "Tip-X"])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 1, 1, 2, 3, 3]], ids=["even", "ragged"])
@pytest.mark.parametrize("seed", range(2))
def test_counts_are_those_of_float64_logits_of_the_same_scores(dtype, with_prior, labels, seed):
    tensors, labels, targets = random_problem(labels, 4, rows=403, dtype=dtype, seed=seed)
    zero_shot, keys, queries, prior = tensors
    zero_shot = 10 * zero_shot  # as large as CLIP's logits: their differences round more than their crossings
    prior = prior if with_prior else None
    grid = GRID if with_prior else imo.Grid(GRID.alphas, GRID.betas)
    cache = imo.CacheModel(keys, labels, 4)
    expected = plain(zero_shot, cache, queries, targets, grid, prior)
    for chunk in (13, 128):
        found = imo.search(zero_shot, cache, queries, targets, grid, prior, chunk=chunk)
        np.testing.assert_array_equal(found.correct, expected)


@dtypes
@pytest.mark.parametrize("with_prior", [False, True], ids=["Tip-Adapter", "Tip-X"])
@pytest.mark.parametrize("problem", ["random", "tied"])
def test_the_best_of_all_alphas_gives_what_its_setting_gives(dtype, with_prior, problem):
    if problem == "tied":
        tensors, labels, targets = tied_problem(rows=403)
        grid, classes = imo.Grid((0.0, 4.0), (0.0, 1000.0), (0.0, 0.5, 1.0, 2.0)), 4
    else:
        tensors, labels, targets = random_problem([0, 1, 1, 2, 2, 2], 3, rows=403)
        grid, classes = GRID, 3
    zero_shot, keys, queries, prior = (part.to(dtype) for part in tensors)
    prior = prior if with_prior else None
    cache = imo.CacheModel(keys, labels, classes)
    found = imo.search(zero_shot, cache, queries, targets, grid, prior, continuous=True, chunk=10)
    here = imo.Grid((found.alpha,), (found.beta,), (found.gamma or 0.0,))
    assert found.accuracy == 100 * plain(zero_shot, cache, queries, targets, here, prior)[0, 0, 0] / 403
    # No fine grid finds better. Its alphas are such that sums of the tied problem's numbers are exact, and that classes
    # do not cross there: a crossing is right at a single alpha.
    fine = imo.Grid(np.arange(grid.alphas[0], grid.alphas[-1], 1 / 64) + 1 / 256, grid.betas, grid.gammas)
    assert found.accuracy >= imo.search(zero_shot, cache, queries, targets, fine, prior).accuracy


@dtypes
def test_among_equal_logits_the_first_class_wins(dtype):
    tensors, labels, targets = tied_problem(rows=403)
    zero_shot, keys, queries, prior = (part.to(dtype) for part in tensors)
    grid = imo.Grid((0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0), (0.0, 1000.0), (0.0, 0.5, 1.0, 2.0))
    found = imo.search(zero_shot, imo.CacheModel(keys, labels, 4), queries, targets, grid, prior, chunk=7)
    correct, best = brute_force(*tensors[:2], labels, 4, tensors[2], targets, grid, tensors[3])
    np.testing.assert_array_equal(found.correct, correct)
    assert (found.alpha, found.beta, found.gamma) == best


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(
    "function",
    [
        lambda rows, labels: imo.CacheModel(rows, labels, 3).affinity(rows),
        lambda rows, labels: imo.CacheModel(rows, labels, 3, rows[:, 0]).class_scores(rows @ rows.T / 64, 2.0),
        lambda rows, labels: imo.CacheModel(rows, labels, 3).sum_by_class(rows @ rows.T),
        lambda rows, labels: imo.class_probabilities(rows, rows[:3]),
        lambda rows, labels: SharedGaussian(rows[:, None], labels, 3).logits(rows),
        lambda rows, labels: SharedGaussian(rows[:, None], labels, 3).leave_one_out(rows),
        lambda rows, labels: KernelRidge(rows @ rows.T, rows).predict(rows @ rows.T, 1.0),
        lambda rows, labels: class_sums(rows, labels, 3),
        lambda rows, labels: torch.tensor(mean_own_similarity(rows, labels, rows[:3])),
        lambda rows, labels: torch.tensor(step_sizes(rows, rows[:3])),
        lambda rows, labels: class_multipliers(rows, labels),
        lambda rows, labels: torch.tensor(imo.overlap(rows, labels).separation),
    ],
)
def test_half_precision_is_the_same_numbers_in_float32(dtype, function):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(-2, 3, (9, 16), generator=generator).to(dtype)  # sums of products are exact in half precision
    rows[:, 0] = 1
    labels = torch.arange(9) % 3
    found = function(rows, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, function(rows.float(), labels), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_divergences_of_half_precision_are_the_same_numbers_in_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    p, q = (torch.softmax(torch.randn(n, 5, generator=generator), 1).to(dtype) for n in (4, 6))
    cache, queries = imo.CacheModel(torch.eye(6), torch.arange(6) % 5, 5), torch.eye(6)[:4]
    phi = imo.Phi.fit(cache, queries, p, q)
    assert phi == imo.Phi.fit(cache, queries, p.float(), q.float())
    assert torch.equal(imo.kl_divergence(p, q), imo.kl_divergence(p.float(), q.float()))
    assert torch.equal(imo.kl_scores(cache, p, q, phi), imo.kl_scores(cache, p.float(), q.float(), phi))
