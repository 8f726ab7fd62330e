import numpy as np
import pytest
import torch

import imo
from imo.measure.analysis import analyse_images, analyse_texts


@pytest.fixture
def scene():
    """23 images of classes 0, 1, 2, 5, of which 5 has a single one; and texts of six classes."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.tensor([0] * 9 + [1] * 7 + [2] * 6 + [5])
    features = torch.randn(6, 4, generator=generator)[labels] + torch.randn(23, 4, generator=generator)
    return features, labels, torch.randn(6, 4, generator=generator)


def unit(matrix):
    matrix = matrix.double().numpy()
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def compared(paired, unpaired):
    """Area and separation of two lists of similarities."""
    wins = np.mean([(p > u) + (p == u) / 2 for p in paired for u in unpaired])
    shares = [np.histogram(x, bins=200, range=(-1, 1))[0] / len(x) for x in (paired, unpaired)]
    return np.minimum(*shares).sum(), wins, shares


def test_images_against_lists_of_pairs(scene):
    features, labels, _ = scene
    found = analyse_images(features, labels)
    assert found.report == imo.overlap(features, labels)
    f, y = unit(features), labels.numpy()
    pairs = [(i, j) for i in range(23) for j in range(23) if i != j]
    area, separation, shares = compared(*([f[i] @ f[j] for i, j in pairs if (y[i] == y[j]) == same] for same in (1, 0)))
    assert (found.report.area, found.report.separation) == pytest.approx((area, separation), abs=1e-6)
    assert np.allclose([found.paired, found.unpaired], shares, atol=1e-12)
    assert [(label, images) for label, images, _, _ in found.classes] == [(0, 9), (1, 7), (2, 6)]
    for label, _, area, separation in found.classes:
        kinds = ([f[i] @ f[j] for i, j in pairs if y[i] == label and (y[i] == y[j]) == same] for same in (1, 0))
        assert (area, separation) == pytest.approx(compared(*kinds)[:2], abs=1e-6)


def test_confused_classes_against_a_loop(scene):
    features, labels, _ = scene
    f, y = unit(features), labels.numpy()
    expected = {}
    for a in (0, 1, 2):
        for b in {0, 1, 2, 5} - {a}:
            closer = []
            for i in np.flatnonzero(y == a):
                own = np.mean([f[i] @ f[j] for j in np.flatnonzero(y == a) if j != i])
                closer.append(np.mean([f[i] @ f[j] for j in np.flatnonzero(y == b)]) > own)
            expected[a, b] = np.mean(closer)
    found = {(a, b): share for a, b, share in analyse_images(features, labels).confused}
    assert found == pytest.approx({pair: share for pair, share in expected.items() if share})
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_texts_against_lists_of_pairs(scene):
    features, labels, texts = scene
    found = analyse_texts(features, labels, texts)
    f, t, y = unit(features), unit(texts), labels.numpy()
    paired = [f[i] @ t[y[i]] for i in range(23)]
    unpaired = [f[i] @ t[c] for i in range(23) for c in range(6) if c != y[i]]
    area, separation, shares = compared(paired, unpaired)
    assert (found.report.area, found.report.separation) == pytest.approx((area, separation), abs=1e-6)
    assert (found.report.paired, found.report.unpaired) == pytest.approx((np.mean(paired), np.mean(unpaired)), abs=1e-6)
    assert np.allclose([found.paired, found.unpaired], shares, atol=1e-12)
    assert [row[:2] for row in found.classes] == [(0, 9), (1, 7), (2, 6), (5, 1)]
    closer = {
        (a, b): np.mean([f[i] @ t[b] > f[i] @ t[a] for i in np.flatnonzero(y == a)])
        for a in (0, 1, 2, 5)
        for b in range(6)
    }
    worst = sorted((share for share in closer.values() if share), reverse=True)[:10]
    assert [share for _, _, share in found.confused] == pytest.approx(worst)
    assert all(closer[a, b] == pytest.approx(share) for a, b, share in found.confused)


@pytest.mark.parametrize(
    "labels, texts, named",
    [
        (torch.tensor([0, 1, 2]), torch.ones(2, 4), "labels"),
        (torch.tensor([0, 0, 0]), torch.ones(1, 4), "labels"),
        (torch.tensor([0, 1, 1]), torch.ones(2, 3), "classifier"),
        (torch.tensor([0, 1]), torch.ones(2, 4), "labels"),
    ],
)
def test_texts_that_do_not_fit_are_refused(labels, texts, named):
    with pytest.raises(imo.InputError, match=named):
        analyse_texts(torch.ones(3, 4), labels, texts)
