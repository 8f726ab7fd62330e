"""Gradient methods on tensors alone."""

import pytest
import torch
from test_methods import make_task
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR

import imo
from imo.trainers.base import GradientMethod, Training
from imo.trainers.clip_adapter import CLIPAdapter
from imo.trainers.task_res import TaskRes


class Bias(GradientMethod):
    """One number a class, added to zero-shot logits."""

    def fit(self, task):
        self.bias = torch.zeros(len(task.text))
        self.optimise(task, "bias")

    def scores(self, text, *inputs):
        return text.logits(inputs[0]) + self.bias


def still(groups):
    optimizer = SGD(groups, lr=0.0)
    return optimizer, ConstantLR(optimizer)


def test_training_lowers_the_loss_and_keeps_no_gradient():
    task, _ = make_task()
    fitted = Bias(Training(epochs=30, batch_size=5))
    fitted.fit(task)
    assert fitted.bias.abs().max() > 0.01 and not fitted.bias.requires_grad
    before = torch.nn.functional.cross_entropy(task.text.logits(task.keys), task.labels)
    assert torch.nn.functional.cross_entropy(fitted.scores(task.text, task.keys), task.labels) < before
    assert fitted.chosen_by is None and fitted.tuning_accuracy is None


def test_the_same_seed_gives_the_same_tensors_whatever_the_global_state():
    found = []
    for seed, moved in ((1, 0), (1, 5), (2, 0)):
        task, _ = make_task()
        task.seed = seed
        torch.manual_seed(moved)
        fitted = CLIPAdapter(ratios=(0.4,), training=Training(epochs=2))
        fitted.fit(task)
        found.append(fitted.down)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_the_first_of_the_best_epochs_is_kept():
    task, _ = make_task()
    fitted = Bias(Training(epochs=4, best_epoch=True, optimizer=still))
    fitted.fit(task)
    assert fitted.settings == {"epoch": 1} and fitted.chosen_by == "validation"
    assert fitted.tuning_accuracy == fitted.accuracy(task.tuning)


def test_without_validation_images_the_last_epoch_stays():
    task, _ = make_task(leave_one_out=True)
    fitted = TaskRes(training=Training(epochs=2, best_epoch=True))
    fitted.fit(task)
    assert "epoch" not in fitted.settings and fitted.chosen_by is None


def test_a_loss_that_is_no_number_names_the_learning_rate():
    class Broken(Bias):
        def scores(self, text, *inputs):
            return super().scores(text, *inputs) * torch.nan

    with pytest.raises(imo.InputError, match=r"OPTIM.LR: .* in epoch 1 at 0.001; lower it"):
        Broken(Training(epochs=2)).fit(make_task()[0])


@pytest.mark.parametrize(
    "options, word", [({"ratios": (1.5,)}, "ratios"), ({"ratios": ()}, "ratios"), ({"reduction": 0}, "reduction")]
)
def test_bad_options_name_the_argument(options, word):
    with pytest.raises(imo.InputError, match=f"^{word}: "):
        CLIPAdapter(**options)
