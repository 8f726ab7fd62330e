"""What a checkpoint keeps of a training beside its weights."""

import random

import numpy as np
import pytest
import torch

from imo.trainers.adapter.progress import Progress, random_states, set_random_states


def test_random_states_come_back():
    states = random_states()

    def draw():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()

    first = draw()
    assert draw() != first
    set_random_states(states)
    assert draw() == first


@pytest.mark.parametrize(
    "areas, stops", [([], False), ([0.5, 0.4], False), ([0.4, 0.5], False), ([0.4, 0.5, 0.4], True), ([0.5], False)]
)
def test_patience_ends_with_as_many_epochs_that_are_no_better(areas, stops):
    progress = Progress(None, {})
    for epoch, area in enumerate(areas):
        progress.validated(epoch + 1, area, 0.9, {"weight": torch.tensor(area)})
    assert progress.out_of_patience(2) is stops
    assert not progress.out_of_patience(0)
    if areas:
        assert float(progress.best["weight"]) == pytest.approx(min(areas))
