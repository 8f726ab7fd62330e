from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from dassl.config import get_cfg_default
from dassl.evaluation import build_evaluator
from dassl.metrics import compute_accuracy, macro_f1


@pytest.mark.parametrize("seed", range(20))
def test_macro_f1_is_that_of_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    true = rng.choice([0, 2, 3, 7], size=30)
    pred = rng.choice([[2, 3], [0, 2, 3, 7], [1, 2, 9]][seed % 3], size=30)
    expected = metrics.f1_score(true, pred, average="macro", labels=np.unique(true))
    assert macro_f1(true, pred) == pytest.approx(expected, abs=1e-12)


def scores(predictions, classes):
    return torch.nn.functional.one_hot(torch.tensor(predictions), classes).float()


@pytest.fixture
def evaluator(tmp_path):
    cfg = get_cfg_default()
    cfg.TEST.PER_CLASS_RESULT, cfg.TEST.COMPUTE_CMAT, cfg.OUTPUT_DIR = True, True, str(tmp_path)
    return build_evaluator(cfg, lab2cname={0: "cat", 1: "dog", 2: "emu"})


def test_results(evaluator, tmp_path, capsys):
    evaluator.process(scores([0, 1, 1], 3), torch.tensor([0, 0, 1]))
    evaluator.process(scores([2, 0], 3), torch.tensor([0, 0]))
    capsys.readouterr()
    results = evaluator.evaluate()
    assert next(iter(results)) == "accuracy"
    # class 0: F1 = 2 * 2 / (4 + 2), class 1: 2 * 1 / (1 + 2); class 2 does not occur
    expected = {"accuracy": 60.0, "error_rate": 40.0, "macro_f1": 200 / 3, "perclass_accuracy": 75.0}
    assert results == pytest.approx(expected)
    assert capsys.readouterr().out.splitlines() == [
        "=> result",
        "* total: 5",
        "* correct: 3",
        "* accuracy: 60.0%",
        "* error: 40.0%",
        "* macro_f1: 66.7%",
        "=> per-class result",
        "* class: 0 (cat)\ttotal: 4\tcorrect: 2\tacc: 50.0%",
        "* class: 1 (dog)\ttotal: 1\tcorrect: 1\tacc: 100.0%",
        "* average: 75.0%",
        f"Confusion matrix is saved to {tmp_path / 'cmat.pt'}",
    ]
    matrix = torch.load(tmp_path / "cmat.pt", weights_only=True)
    assert matrix.tolist() == [[0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 0]]


def test_reset_and_thousands(evaluator, capsys):
    evaluator.process(scores([1], 3), torch.tensor([0]))
    evaluator.reset()
    evaluator.process(scores([1] * 1200, 3), torch.tensor([1] * 1200))
    assert evaluator.evaluate()["accuracy"] == 100.0
    assert re.search(r"^\* total: 1,200$", capsys.readouterr().out, re.MULTILINE)


def test_unknown_evaluator():
    cfg = get_cfg_default()
    cfg.TEST.EVALUATOR = "Clasification"
    with pytest.raises(ValueError, match="Classification"):
        build_evaluator(cfg)


def test_accuracy():
    output = torch.tensor([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    target = torch.tensor([0, 2, 2, 0])
    top1, top2 = compute_accuracy(output, target, topk=(1, 2))
    assert (top1.item(), top2.item()) == (50.0, 75.0)
    assert top1.shape == (1,)
    assert compute_accuracy((output, None), target)[0].item() == 50.0
