"""Methods on tensors alone: what they keep, what a state restores, and that they need no workbench."""

import importlib
import io
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

import imo
from imo.trainers.base import METHODS, Method, Queries, Task, TextClassifier, cache_method
from imo.trainers.base import methods as base

for name in ("ape", "calip", "gda", "proker", "tip_adapter", "tip_x", "zero_shot"):
    importlib.import_module(f"imo.trainers.{name}")

ON_FEATURES = ("TipAdapter", "TipAdapterPP", "TipX", "TipXPP", "APE", "GDA", "ProKeR", "ZeroshotCLIP")


def make_task(classes=4, shots=3, size=16, leave_one_out=False):
    """Noisy copies of class directions; corrected features are less noisy. Returns the task and test queries."""
    generator = torch.Generator().manual_seed(0)

    def drawn(labels, noise, *more):
        shape = (len(labels), *more, size)
        middle = F.normalize(directions[labels], dim=-1).view(len(labels), *(1 for _ in more), size)
        return middle + noise * torch.randn(shape, generator=generator)

    directions = torch.randn(classes, size, generator=generator)
    text = TextClassifier(F.normalize(directions + torch.randn(classes, size, generator=generator), dim=-1), 20.0)
    labels = torch.arange(classes).repeat_interleave(shots)

    def queries(count):
        targets = torch.arange(classes).repeat(count)
        return Queries(text, drawn(targets, 0.4), drawn(targets, 0.1), targets)

    support = Queries(text, drawn(labels, 0.4), drawn(labels, 0.1), labels, own_keys=torch.arange(len(labels)))
    tuning = support if leave_one_out else queries(5)
    return Task(text, labels, drawn(labels, 0.4, 5), drawn(labels, 0.1, 5), support, tuning), queries(10)


@pytest.mark.parametrize("name", ON_FEATURES)
@pytest.mark.parametrize("leave_one_out", (False, True))
def test_fit_and_logits(name, leave_one_out):
    task, queries = make_task(leave_one_out=leave_one_out)
    fitted = METHODS[name]()
    fitted.fit(task)
    logits = fitted.logits(queries)
    assert logits.shape == (40, 4) and torch.isfinite(logits).all()
    right = (logits.argmax(1) == queries.targets).float().mean()
    zero_shot = (queries.zero_shot_logits().argmax(1) == queries.targets).float().mean()
    assert right > zero_shot or name == "ZeroshotCLIP"
    expected = None if name == "ZeroshotCLIP" else "leave-one-out" if leave_one_out else "validation"
    assert fitted.chosen_by == expected
    assert (fitted.tuning_accuracy is None) == (expected is None)


@pytest.mark.parametrize("name", ON_FEATURES)
def test_a_state_restores_a_method(name):
    task, queries = make_task()
    fitted, fresh = METHODS[name](), METHODS[name]()
    fitted.fit(task)
    fitted.about = {"classes": ["a", "b"]}
    file = io.BytesIO()
    torch.save(fitted.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))  # tensors, numbers and texts alone
    assert (fresh.settings, fresh.about) == (fitted.settings, fitted.about)
    assert torch.equal(fresh.logits(queries), fitted.logits(queries))


@pytest.mark.parametrize("name", ("TipAdapter", "TipX", "APE", "GDA", "ProKeR"))
def test_one_shot_without_validation_keeps_the_fixed_setting(name):
    task, _ = make_task(shots=1, leave_one_out=True)
    fitted = METHODS[name]()
    fitted.fit(task)
    assert fitted.settings == fitted.one_shot and fitted.chosen_by == "one shot" and fitted.tuning_accuracy is None


def test_which_methods_are_transductive():
    """Tip-X under "paper" takes ranges over all test queries; scoring a part of them shows it."""
    task, queries = make_task()
    first = Queries(queries.text, queries.features[:3], queries.corrected[:3])
    for name, options, transductive in (
        ("TipX", {}, True),
        ("TipXPP", {}, True),
        ("TipX", {"phi": "inductive"}, False),
        ("TipAdapter", {}, False),
        ("GDA", {}, False),
    ):
        fitted = METHODS[name](**options)
        fitted.fit(task)
        fitted.settings["gamma"] = 5.0  # whatever the search found
        assert fitted.transductive is transductive
        moved = (fitted.logits(first) - fitted.logits(queries)[:3]).abs().max()
        assert (moved > 1e-3) == transductive, (name, moved)


def test_of_equal_settings_the_first_is_kept():
    class Chosen(Method):
        def fit(self, task):
            targets = F.one_hot(task.tuning.targets, 4).float()
            self.choose(task.tuning, (({"a": i}, sign * targets) for i, sign in enumerate((-1, 1, 1))))

    fitted = Chosen()
    fitted.fit(make_task()[0])
    assert fitted.settings == {"a": 1} and fitted.tuning_accuracy == 100.0


def test_a_method_that_cannot_be_restricted_says_so():
    with pytest.raises(imo.InputError, match="Method cannot be restricted"):
        Method().restrict(torch.tensor([0]))


def test_a_state_of_something_else_is_refused():
    with pytest.raises(KeyError):
        METHODS["TipAdapter"]().load_state_dict({"keys": torch.ones(2, 2)})


def test_cache_method_makes_the_corrected_variant(monkeypatch):
    monkeypatch.setattr(base, "METHODS", {})

    @cache_method
    class Nearest(Method):
        """Nearest mean. More of it."""

    assert set(base.METHODS) == {"Nearest", "NearestPP"}
    corrected = base.METHODS["NearestPP"]
    assert (corrected.base, corrected.correction, Nearest.correction) == (Nearest, "adapter", None)
    assert corrected.__doc__ == "Nearest on features corrected by adapters (++). Nearest mean. More of it."
    assert corrected.__module__ == __name__


def test_two_modules_cannot_have_methods_of_one_name(monkeypatch):
    monkeypatch.setattr(base, "METHODS", dict(METHODS))
    with pytest.raises(ValueError, match=r"imo.trainers.tip_x has a method TipX; choose another"):
        base.method(type("TipX", (Method,), {"__module__": "theirs"}))
    again = type("TipX", (Method,), {"__module__": "imo.trainers.tip_x"})  # as when a notebook's cell is run again
    assert base.method(again) is base.METHODS["TipX"]


def test_the_corrected_methods_have_the_papers_formulas_in_their_help():
    for name in ("TipAdapterPP", "TipXPP"):
        assert "exp(-beta (1 - u U^T)) L" in METHODS[name].__doc__ and "2409.11338" in METHODS[name].__doc__
        assert METHODS[name].__name__ == name and METHODS[name].correction == "adapter"


def test_methods_need_no_workbench():
    code = (
        "import sys, torch; from imo.trainers.base import Queries, Task, TextClassifier; "
        "from imo.trainers.tip_x import TipXPP; from imo.trainers.task_res import TaskRes; "
        "text = TextClassifier(torch.eye(2, 8), 10.0); "
        "q = Queries(text, torch.randn(6, 8), None, torch.arange(6) % 2); "
        "task = Task(text, torch.arange(2), torch.randn(2, 3, 8), None, None, q); "
        "[m.fit(task) or m.logits(q) for m in (TipXPP(), TaskRes())]; "
        "print([m for m in ('dassl', 'yacs', 'yacs.config', 'imo.workbench', 'imo.datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout == "[]\n", done.stderr
