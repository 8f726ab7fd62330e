import itertools

import numpy as np
import pytest

from imo.workbench.report.statistics import sign_flip, spearman, spearman_interval


@pytest.mark.parametrize("values", [[1.0], [1.0, -2.0, 3.5], [0.3, 0.3, 0.3, 0.3, 0.3], [0.0, 1.0, -1.0, 2.0]])
def test_the_exact_test_counts_sign_patterns(values):
    means = [
        abs(np.mean([s * v for s, v in zip(signs, values)])) for signs in itertools.product((1, -1), repeat=len(values))
    ]
    share = np.mean([mean >= abs(np.mean(values)) - 1e-9 for mean in means])
    assert sign_flip(values) == pytest.approx(share)


def test_the_least_p_is_two_patterns():
    assert sign_flip([1.0] * 12) == 2 / 2**12


def test_up_to_16_differences_are_exact_and_more_are_drawn():
    """100,000 patterns cannot tell a share of 2^-16, and say at least one in 100,001."""
    assert sign_flip([1.0] * 16) == 2 / 2**16
    assert sign_flip([1.0] * 17) >= 1 / 100_001


def test_drawn_patterns_come_near_the_exact_share_and_are_the_same_each_time():
    values = np.random.default_rng(3).normal(0.4, 1, 20)
    signs = 1 - 2 * (np.arange(2**20)[:, None] >> np.arange(20) & 1)
    share = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    assert sign_flip(values) == pytest.approx(share, abs=0.006)
    assert sign_flip(values) == sign_flip(values)


def test_no_difference_is_no_evidence():
    assert sign_flip([0.0, 0.0, 0.0]) == 1.0


def test_rank_correlation_by_hand():
    """Ranks 1, 2.5, 2.5, 4 and 1, 2, 4, 3: products 3, squares of sums 4.5 and 5."""
    assert spearman([1, 5, 5, 9], [0.1, 0.2, 0.9, 0.3]) == pytest.approx(3.0 / np.sqrt(4.5 * 5))
    assert spearman([1, 2, 3], [4, 5, 60]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [6, 5, -4]) == pytest.approx(-1.0)


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
