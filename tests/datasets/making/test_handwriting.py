from collections import Counter

import numpy as np
import pytest

from imo.datasets.making.handwriting import SHARES, stratified_split


@pytest.mark.parametrize("counts", [(10, 20, 100), (7, 1, 3), (178, 182, 177)])
def test_a_stratified_split_has_its_shares_in_every_class(counts):
    labels = np.random.default_rng(3).permutation(np.repeat(np.arange(3), counts))
    parts = stratified_split(labels)
    for label, count in enumerate(counts):
        found = Counter(parts[labels == label].tolist())
        assert sum(found.values()) == count
        for part, share in SHARES.items():
            assert abs(found[part] - share * count) <= 1
    assert parts.tolist() == stratified_split(labels).tolist()


def test_a_stratified_split_is_shuffled():
    parts = stratified_split(np.zeros(100, int)).tolist()
    assert parts != sorted(parts)
    assert len(set(parts[:50])) == 3
