"""Tasks and queries: tensors that are made when they are first asked for, and once."""

import pytest
import torch

import imo
from imo.trainers.base import Queries, Task, TextClassifier


def text(classes=3, size=4, scale=10.0):
    weights = torch.randn(classes, size, generator=torch.Generator().manual_seed(0))
    weights = torch.nn.functional.normalize(weights, dim=1)
    return TextClassifier(weights, scale)


class Counted:
    """A function that makes a tensor, and how often it did."""

    def __init__(self, value):
        self.value, self.calls = value, 0

    def __call__(self):
        self.calls += 1
        return self.value


def test_features_are_made_once_and_not_before_they_are_needed():
    plain, corrected = Counted(torch.ones(2, 4)), Counted(2 * torch.ones(2, 4))
    queries = Queries(text(), plain, corrected)
    assert (plain.calls, corrected.calls) == (0, 0)
    assert queries.corrected is queries.corrected and queries.features is queries.features
    assert (plain.calls, corrected.calls) == (1, 1)


def test_without_correction_there_is_one_kind_of_features():
    views = torch.randn(3, 2, 4)
    queries, task = Queries(text(), torch.ones(2, 4)), Task(text(), torch.arange(3), views)
    assert queries.corrected is queries.features
    assert task.corrected_views is views
    torch.testing.assert_close(task.corrected_keys, (views[:, 0] + views[:, 1]) / 2)


def test_zero_shot_logits_are_scaled_cosines_of_the_plain_features():
    features = torch.tensor([[3.0, 0.0, 4.0, 0.0]])
    queries = Queries(text(), features, corrected=-features)
    torch.testing.assert_close(queries.zero_shot_logits(), 10.0 * (features / 5) @ text().weights.T)


def test_without_raw_text_features_the_normalised_ones_are_the_best_there_is():
    raw = torch.full((3, 4), 7.0)
    assert TextClassifier(text().weights, 1.0, raw).unnormalised is raw
    assert torch.equal(text().unnormalised, text().weights)


@pytest.mark.parametrize(
    "ask, word",
    [
        (lambda: Queries(text(), torch.ones(1, 4)).targets, "targets"),
        (lambda: Queries(text(), torch.ones(1, 4)).computed({}, lambda model, images: images), "images"),
        (lambda: Task(text(), torch.arange(3), torch.ones(3, 1, 4)).tuning, "tuning"),
        (lambda: Task(text(), torch.arange(3), torch.ones(3, 1, 4)).support, "support"),
    ],
)
def test_what_is_not_known_is_named(ask, word):
    with pytest.raises(imo.InputError, match=word):
        ask()


def test_only_leave_one_out_on_single_images_has_nothing_to_tune_on():
    support, other = (Queries(text(), torch.ones(3, 4)) for _ in range(2))
    views = torch.ones(3, 1, 4)
    single, double = torch.tensor([0, 1, 2]), torch.tensor([0, 0, 2])
    assert not Task(text(), single, views, support=support, tuning=support).tunable
    assert Task(text(), double, views, support=support, tuning=support).tunable
    assert Task(text(), single, views, support=support, tuning=other).tunable
    assert Task(text(), single, views, support=support, tuning=support).leaves_one_out
    assert not Task(text(), single, views, support=support, tuning=other).leaves_one_out
