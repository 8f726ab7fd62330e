import itertools

import numpy as np
import pytest

from imo.workbench.report.statistics import sign_flip, spearman, spearman_interval

scipy_stats = pytest.importorskip("scipy.stats", reason="compares with SciPy")


@pytest.mark.parametrize("values", [[1.0], [1.0, -2.0, 3.5], [0.3, 0.3, 0.3, 0.3, 0.3], [0.0, 1.0, -1.0, 2.0]])
def test_the_exact_test_counts_sign_patterns(values):
    means = [
        abs(np.mean([s * v for s, v in zip(signs, values)])) for signs in itertools.product((1, -1), repeat=len(values))
    ]
    share = np.mean([mean >= abs(np.mean(values)) - 1e-9 for mean in means])
    assert sign_flip(values) == pytest.approx(share)


def test_the_least_p_is_two_patterns():
    assert sign_flip([1.0] * 12) == 2 / 2**12


@pytest.mark.parametrize("count", [10, 24])
def test_against_scipys_permutation_test(count):
    values = np.random.default_rng(3).normal(0.4, 1, count)
    found = scipy_stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=50_000, alternative="two-sided"
    )
    assert sign_flip(values) == pytest.approx(found.pvalue, abs=0.006)
    assert sign_flip(values) == sign_flip(values)


def test_no_difference_is_no_evidence():
    assert sign_flip([0.0, 0.0, 0.0]) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlation_is_scipys(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 5, 20), rng.normal(size=20)
    assert spearman(x, y) == pytest.approx(scipy_stats.spearmanr(x, y).statistic)
    assert spearman(x, x) == pytest.approx(1.0) and spearman(x, -x) == pytest.approx(-1.0)


def test_what_does_not_vary_has_no_correlation():
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_the_interval_resamples_datasets_not_points():
    rng = np.random.default_rng(0)
    x = rng.normal(size=30)
    y = x + rng.normal(size=30)
    low, high = spearman_interval(x, y, [str(i) for i in range(30)])
    assert low < spearman(x, y) < high and high - low < 0.7
    # The same points ten times over are no more evidence.
    again = spearman_interval(np.repeat(x, 10), np.repeat(y, 10), [str(i) for i in np.repeat(range(30), 10)])
    assert again == pytest.approx((low, high), abs=0.02)
    assert spearman_interval([1, 2, 3, 4], [1, 2, 3, 4], ["a", "a", "b", "b"]) is None
