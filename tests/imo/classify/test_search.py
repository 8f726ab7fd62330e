import math

import numpy as np
import pytest
import torch

import imo

GRID = imo.Grid(
    tuple(np.linspace(0, 20, 23).tolist()), tuple(np.linspace(0, 8, 5).tolist()), tuple(np.linspace(0, 3, 4).tolist())
)


def brute_force(zero_shot, keys, labels, num_classes, queries, targets, grid, kl_scores=None, own_keys=None):
    """Right samples at every grid point, each evaluated by itself in float64; the first best point of all."""
    z, k, q = (np.asarray(x, np.float64) for x in (zero_shot, keys, queries))
    affinity = (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (k / np.linalg.norm(k, axis=1, keepdims=True)).T
    one_hot = np.eye(num_classes)[np.asarray(labels)]
    gammas = grid.gammas if kl_scores is not None else (0.0,)
    prior = np.asarray(kl_scores, np.float64) if kl_scores is not None else np.zeros_like(z)
    correct = np.zeros((len(grid.alphas), len(grid.betas), len(gammas)), int)
    best, best_count = None, -1
    for a, alpha in enumerate(grid.alphas):
        for b, beta in enumerate(grid.betas):
            values = np.exp(-beta * (1 - affinity))
            if own_keys is not None:
                values[np.arange(len(q)), own_keys] = 0
            scores = values @ one_hot
            for g, gamma in enumerate(gammas):
                predictions = np.argmax(z + gamma * prior + alpha * scores, axis=1)
                correct[a, b, g] = (predictions == np.asarray(targets)).sum()
                if correct[a, b, g] > best_count:
                    best, best_count = (alpha, beta, gamma), correct[a, b, g]
    return correct, best


def random_problem(labels, num_classes, rows=37, dtype=torch.float32, seed=2):
    """Arguments of `brute_force` up to targets, with classes that are neither certain nor hopeless.

    With seed 2 no two deciding logits are closer than 2e-4, so that float32 and float64 agree.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    centres = normal(num_classes, 8)
    targets = torch.randint(num_classes, (rows,), generator=generator)
    labels = torch.tensor(labels)
    keys, queries = centres[labels] + normal(len(labels), 8), centres[targets] + 1.5 * normal(rows, 8)
    zero_shot, prior = 3 * normal(rows, num_classes), normal(rows, num_classes)
    return [x.to(dtype) for x in (zero_shot, keys, queries, prior)], labels, targets


def check(zero_shot, keys, labels, num_classes, queries, targets, grid, kl_scores=None, own_keys=None, **options):
    cache = imo.CacheModel(keys, labels, num_classes)
    result = imo.search(zero_shot, cache, queries, targets, grid, kl_scores, own_keys, **options)
    correct, best = brute_force(zero_shot, keys, labels, num_classes, queries, targets, grid, kl_scores, own_keys)
    np.testing.assert_array_equal(result.correct, correct)
    assert (result.alpha, result.beta) == best[:2]
    assert result.gamma == (best[2] if kl_scores is not None else None)
    assert result.accuracy == pytest.approx(100 * correct.max() / len(targets), abs=1e-12)
    return result


@pytest.mark.parametrize(
    "labels, num_classes",
    [
        pytest.param([0, 0, 1, 1, 2, 2, 3, 3], 4, id="even"),
        pytest.param([3, 1, 0, 2, 2, 0, 1, 3], 4, id="even, shuffled"),
        pytest.param([0, 1, 1, 2, 2, 2, 2], 3, id="ragged"),
        pytest.param([0, 1, 3, 3, 1, 0], 5, id="classes without keys"),
        pytest.param([0, 1, 2, 3, 4], 5, id="one shot"),
        pytest.param([0, 0, 0], 1, id="one class"),
        pytest.param([1], 2, id="one key"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("with_prior", [False, True], ids=["Tip-Adapter", "Tip-X"])
def test_every_grid_point_counts_as_the_logits_say(labels, num_classes, dtype, with_prior):
    (zero_shot, keys, queries, prior), labels, targets = random_problem(labels, num_classes, dtype=dtype)
    prior = prior if with_prior else None
    check(zero_shot, keys, labels, num_classes, queries, targets, GRID, prior, chunk=10)  # the last chunk has 7 of 37


@pytest.mark.parametrize("chunk", [1, 5, 36, 37, 1000])
def test_the_chunk_size_changes_nothing(chunk):
    (zero_shot, keys, queries, prior), labels, targets = random_problem([0, 1, 2, 2], 3, dtype=torch.float64)
    check(zero_shot, keys, labels, 3, queries, targets, GRID, prior, chunk=chunk)


def tied_problem(rows=64, seed=0):
    """Whole numbers only, with classes 1 and 3 twins: keys and queries lie on axes, so affinities are 0 or 1.

    Classes differ by at most two keys, beta 0 counts a class's keys and beta 1000 those on the query's axis.
    """
    generator = torch.Generator().manual_seed(seed)
    axes, labels = [0, 0, 1, 0, 1, 2, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1, 2, 3, 3, 3]
    keys = torch.eye(3, dtype=torch.float64)[axes]
    queries = torch.eye(3, dtype=torch.float64)[torch.randint(3, (rows,), generator=generator)]
    zero_shot, prior = (torch.randint(-2, 3, (rows, 4), generator=generator).double() for _ in range(2))
    for matrix in (zero_shot, prior):
        matrix[:, 3] = matrix[:, 1]
    return (zero_shot, keys, queries, prior), torch.tensor(labels), torch.randint(4, (rows,), generator=generator)


@pytest.mark.parametrize("with_prior", [False, True], ids=["Tip-Adapter", "Tip-X"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_among_equal_logits_the_first_class_wins(with_prior, dtype):
    tensors, labels, targets = tied_problem()
    zero_shot, keys, queries, prior = (x.to(dtype) for x in tensors)
    grid = imo.Grid((0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0), (0.0, 1000.0), (0.0, 0.5, 1.0, 2.0))
    check(zero_shot, keys, labels, 4, queries, targets, grid, prior if with_prior else None, chunk=7)


@pytest.mark.parametrize("target, right", [(0, [1, 1, 0]), (1, [0, 0, 1])])
def test_at_a_crossing_the_first_class_wins(target, right):
    """Logits (2, 2 alpha): equal at alpha 1."""
    cache = imo.CacheModel(torch.ones(2, 1), torch.tensor([1, 1]), 2)
    result = imo.search(
        torch.tensor([[2.0, 0.0]]), cache, torch.ones(1, 1), torch.tensor([target]), imo.Grid((0.0, 1.0, 2.0), (1.0,))
    )
    assert result.correct[:, 0, 0].tolist() == right


@pytest.mark.parametrize("lead", [1.0, 0.0, -1.0])
@pytest.mark.parametrize("target", [0, 1])
def test_classes_with_equal_cache_scores_are_decided_by_the_rest(lead, target):
    keys = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    zero_shot, prior = torch.tensor([[lead, 0.0, -9.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    grid = imo.Grid((0.0, 1.0, 5.0), (0.0, 1.0), (0.0, 0.5, 1.0, 2.0))
    labels, targets, queries = torch.tensor([0, 1, 2]), torch.tensor([target]), torch.tensor([[1.0, 0.0]])
    check(zero_shot, keys, labels, 3, queries, targets, grid, prior)
    check(zero_shot, keys, labels, 3, queries, targets, grid)


@pytest.mark.parametrize("gain", [49, 98, 103])
def test_a_crossing_on_the_grid_is_found_for_any_gain(gain):
    labels = torch.tensor([1] * (gain + 1) + [0])
    zero_shot, targets = torch.tensor([[float(gain), 0.0]], dtype=torch.float64), torch.tensor([1])
    keys, queries = torch.ones(len(labels), 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    check(zero_shot, keys, labels, 2, queries, targets, imo.Grid((0.0, 1.0, 2.0), (0.0,)))


def test_crossings_on_the_grid_are_found_for_any_gain_and_gamma():
    """Whole numbers and halves alone, gains up to 7."""
    generator = torch.Generator().manual_seed(0)
    labels, axes = torch.tensor([0, 0] + [1] * 5 + [2] * 7), torch.randint(2, (14,), generator=generator)
    zero_shot = torch.randint(-9, 10, (200, 3), generator=generator).double()
    prior = torch.randint(-3, 4, (200, 3), generator=generator).double()
    targets = torch.randint(3, (200,), generator=generator)
    queries = torch.eye(2, dtype=torch.float64)[torch.randint(2, (200,), generator=generator)]
    grid = imo.Grid((0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0), (0.0, 1000.0), (0.0, 0.5, 1.0, 2.0, 3.0))
    check(zero_shot, torch.eye(2, dtype=torch.float64)[axes], labels, 3, queries, targets, grid, prior)


def test_scores_below_the_normal_numbers_count():
    """Scores of exp(-100) in float32 are subnormal; class 0 leads at every alpha."""
    zero_shot, queries = torch.tensor([[5.0, 4.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]])
    check(
        zero_shot, torch.eye(3), torch.arange(3), 3, queries, torch.tensor([0]), imo.Grid((0.0, 1.0, 2.0), (1.0, 100.0))
    )


def test_where_all_settings_are_equal_the_first_is_taken():
    (zero_shot, keys, queries, _), labels, targets = random_problem([0, 1], 2, rows=6)
    zero_shot = 1e6 * torch.nn.functional.one_hot(targets, 2).float()
    result = check(zero_shot, keys, labels, 2, queries, targets, GRID, torch.zeros(6, 2))
    assert (result.alpha, result.beta, result.gamma, result.accuracy) == (0.0, 0.0, 0.0, 100.0)


def test_a_small_alpha_goes_before_a_small_beta_before_a_small_gamma():
    """The target's logit is alpha + gamma, whatever beta; its rival's is 2.5."""
    cache = imo.CacheModel(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), 2)
    arguments = torch.tensor([[2.5, 0.0]]), cache, torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    prior = torch.tensor([[0.0, 1.0]])
    for gammas, expected in (
        ((0.0, 1.0, 2.0), (1.0, 0.5, 2.0)),
        ((0.0, 1.0), (2.0, 0.5, 1.0)),
        ((0.0,), (3.0, 0.5, 0.0)),
    ):
        result = imo.search(*arguments, imo.Grid((0.0, 1.0, 2.0, 3.0), (0.5, 4.0), gammas), prior)
        assert (result.alpha, result.beta, result.gamma) == expected


def test_without_kl_scores_gamma_is_not_searched():
    (zero_shot, keys, queries, _), labels, targets = random_problem([0, 1, 1], 2)
    result = check(zero_shot, keys, labels, 2, queries, targets, GRID)
    assert result.gamma is None
    assert result.correct.shape == (23, 5, 1)


def test_the_result_does_not_hang_on_the_order_of_samples():
    (zero_shot, keys, queries, prior), labels, targets = random_problem([0, 1, 2, 2], 3, dtype=torch.float64)
    cache = imo.CacheModel(keys, labels, 3)
    flipped = imo.search(zero_shot.flip(0), cache, queries.flip(0), targets.flip(0), GRID, prior.flip(0), chunk=8)
    np.testing.assert_array_equal(
        flipped.correct, imo.search(zero_shot, cache, queries, targets, GRID, prior, chunk=8).correct
    )


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0]], ids=["even", "ragged"])
def test_a_query_leaves_its_own_key_out(labels):
    (zero_shot, keys, _, prior), labels, _ = random_problem(labels, 3, rows=6, dtype=torch.float64)
    check(zero_shot, keys, labels, 3, keys, labels, GRID, prior, torch.arange(6), chunk=4)
    check(zero_shot[1:], keys, labels, 3, keys[1:], labels[1:], GRID, None, torch.arange(1, 6))


def margins(zero_shot, keys, labels, num_classes, queries, targets, setting, kl_scores):
    """Lead of the target over the best other class, in float64."""
    alpha, beta, gamma = setting
    z, k, q, p = (np.asarray(x, np.float64) for x in (zero_shot, keys, queries, kl_scores))
    affinity = (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (k / np.linalg.norm(k, axis=1, keepdims=True)).T
    logits = z + gamma * p + alpha * np.exp(-beta * (1 - affinity)) @ np.eye(num_classes)[np.asarray(labels)]
    own = logits[np.arange(len(z)), targets].copy()
    logits[np.arange(len(z)), targets] = -np.inf
    return own - logits.max(1)


def test_in_float32_counts_differ_by_samples_within_rounding_of_a_tie_alone():
    """Over 4,000 samples some are; each difference from float64 is accounted for by one."""
    tensors, labels, targets = random_problem([0, 0, 1, 1, 2, 2, 3, 3], 4, rows=4000, dtype=torch.float32, seed=0)
    zero_shot, keys, queries, prior = tensors
    grid = imo.Grid(GRID.alphas, (0.0, 3.0, 6.0), (0.0, 1.5, 3.0))
    cache = imo.CacheModel(keys, labels, 4)
    single = imo.search(zero_shot, cache, queries, targets, grid, prior).correct
    double, _ = brute_force(zero_shot, keys, labels, 4, queries, targets, grid, prior)
    for a, b, g in np.argwhere(single != double):
        setting = grid.alphas[a], grid.betas[b], grid.gammas[g]
        lead = margins(zero_shot, keys, labels, 4, queries, targets.numpy(), setting, prior)
        assert abs(int(single[a, b, g]) - int(double[a, b, g])) <= (np.abs(lead) < 2e-4).sum()
    assert (single != double).mean() < 0.05


@pytest.mark.parametrize("with_prior", [False, True], ids=["Tip-Adapter", "Tip-X"])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0]], ids=["even", "ragged"])
def test_the_best_of_all_alphas_is_at_least_as_good_as_a_fine_grid(labels, with_prior):
    (zero_shot, keys, queries, prior), labels, targets = random_problem(labels, 3, dtype=torch.float64)
    prior = prior if with_prior else None
    cache = imo.CacheModel(keys, labels, 3)
    found = imo.search(zero_shot, cache, queries, targets, GRID, prior, continuous=True, chunk=10)
    fine = imo.Grid(tuple(np.linspace(0, 20, 5001).tolist()), GRID.betas, GRID.gammas)
    best = imo.search(zero_shot, cache, queries, targets, fine, prior)
    assert found.accuracy >= best.accuracy
    at_alpha = imo.Grid((found.alpha,), (found.beta,), (found.gamma or 0.0,))
    here, _ = brute_force(zero_shot, keys, labels, 3, queries, targets, at_alpha, prior)
    assert found.accuracy == pytest.approx(100 * here[0, 0, 0] / len(targets))  # it is what the setting gives
    np.testing.assert_array_equal(found.correct, imo.search(zero_shot, cache, queries, targets, GRID, prior).correct)


def test_of_equally_good_intervals_the_middle_of_the_widest_is_taken():
    """One key, of class 1; class 1 wins where alpha > 2.5, class 0 below: targets 1, 1, 0 give [0, 2.5), (2.5, 20]."""
    cache = imo.CacheModel(torch.ones(1, 1), torch.tensor([1]), 2)
    zero_shot, queries = torch.tensor([[2.5, 0.0], [4.0, 0.0], [7.0, 0.0]]), torch.ones(3, 1)
    grid = imo.Grid((0.0, 20.0), (1.0,))
    found = imo.search(zero_shot, cache, queries, torch.tensor([1, 1, 0]), grid, continuous=True)
    assert (found.alpha, found.accuracy) == (pytest.approx(5.5), 100.0)  # right on (2.5, 20], (4, 20] and [0, 7)
    found = imo.search(zero_shot[:2], cache, queries[:2], torch.tensor([1, 0]), grid, continuous=True)
    assert (found.alpha, found.accuracy) == (pytest.approx(3.25), 100.0)
    found = imo.search(zero_shot[:2], cache, queries[:2], torch.tensor([0, 1]), grid, continuous=True)
    assert (found.alpha, found.accuracy) == (pytest.approx(12.0), 50.0)  # [0, 2.5) and (4, 20], one right on either


def test_where_no_alpha_is_right_the_search_over_all_alphas_still_answers():
    cache = imo.CacheModel(torch.ones(1, 1), torch.tensor([1]), 2)
    found = imo.search(
        torch.tensor([[2.0, 1.0]]),
        cache,
        torch.ones(1, 1),
        torch.tensor([0]),
        imo.Grid((3.0, 4.0), (1.0,)),
        continuous=True,
    )
    assert (found.alpha, found.accuracy) == (3.5, 0.0)


def test_the_paper_s_grid():
    for values, count in ((imo.PAPER_GRID.alphas, 200), (imo.PAPER_GRID.betas, 20), (imo.PAPER_GRID.gammas, 50)):
        np.testing.assert_allclose(values, [20 * i / (count - 1) for i in range(count)], atol=1e-12)


@pytest.mark.parametrize("name", ["alphas", "betas", "gammas"])
@pytest.mark.parametrize("values", [(), (1.0, 0.0), (0.0, 0.0), (0.0, math.nan), (0.0, math.inf), ((0.0, 1.0),)])
def test_a_grid_is_finite_and_ascending(name, values):
    good = {"alphas": (0.0, 1.0), "betas": (0.0,), "gammas": (0.0, 2.0)}
    with pytest.raises(imo.InputError, match=name):
        imo.Grid(**{**good, name: values})


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"zero_shot": torch.zeros(4, 3)}, "zero_shot"),
        ({"zero_shot": torch.zeros(5, 2)}, "zero_shot"),
        ({"zero_shot": torch.zeros(5, 3, dtype=torch.int64)}, "zero_shot"),
        ({"zero_shot": torch.full((5, 3), math.nan)}, "zero_shot: row 0"),
        ({"queries": torch.zeros(5, 7)}, "queries"),
        ({"queries": torch.zeros(0, 8)}, "queries"),
        ({"queries": torch.zeros(8)}, "queries"),
        ({"targets": torch.zeros(4, dtype=torch.int64)}, "targets"),
        ({"targets": torch.zeros(5)}, "targets"),
        ({"targets": torch.tensor([0, 1, 2, 3, 0])}, "targets"),
        ({"targets": torch.tensor([0, 1, 2, -1, 0])}, "targets"),
        ({"own_keys": torch.zeros(4, dtype=torch.int64)}, "own_keys"),
        ({"own_keys": torch.full((5,), 3)}, "own_keys"),
        ({"kl_scores": torch.zeros(4, 3)}, "kl_scores"),
        ({"kl_scores": torch.zeros(5, 4)}, "kl_scores"),
        ({"kl_scores": torch.full((5, 3), math.inf)}, "kl_scores: row 0"),
    ],
)
def test_search_names_the_argument_it_refuses(changed, named):
    cache = imo.CacheModel(torch.ones(3, 8), torch.arange(3), 3)
    good = {"zero_shot": torch.zeros(5, 3), "queries": torch.ones(5, 8), "targets": torch.zeros(5, dtype=torch.int64)}
    imo.search(cache=cache, **good)
    with pytest.raises(imo.InputError, match=named):
        imo.search(cache=cache, **{**good, **changed})


@pytest.mark.parametrize("chunk", [0, -1])
def test_search_refuses_a_chunk_without_rows(chunk):
    cache = imo.CacheModel(torch.ones(3, 8), torch.arange(3), 3)
    with pytest.raises(imo.InputError, match="chunk"):
        imo.search(torch.zeros(5, 3), cache, torch.ones(5, 8), torch.zeros(5, dtype=torch.int64), chunk=chunk)
