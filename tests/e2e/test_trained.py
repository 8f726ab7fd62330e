"""Trained methods, from the command line to results, and their formulas against independent computations."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bench import CLASSNAMES, make_dataset, scored

ON_FEATURES = ("TaskRes", "CLIPAdapter", "TipAdapterF", "TipAdapterFPP", "LPPlusPlus", "CLAP")
ON_IMAGES = ("CoOp", "CoCoOp")
SHORT = ("OPTIM.MAX_EPOCH", 3)
ONE_STEP = (
    "OPTIM.MAX_EPOCH", 1, "OPTIM.NAME", "sgd", "OPTIM.LR", 0.5, "OPTIM.MOMENTUM", 0.0, "OPTIM.WEIGHT_DECAY", 0.0,
    "OPTIM.WARMUP_EPOCH", -1, "IMO.PASSES", 1, "TEST.FINAL_MODEL", "last_step",
)  # fmt: skip


def options(trainer):
    return () if trainer == "LinearProbe" else SHORT


def state_of(run):
    return run.state("prompt_learner" if run.results["trainer"] in ON_IMAGES else "cache")


@pytest.mark.parametrize("trainer", ("LinearProbe", *ON_FEATURES, *ON_IMAGES))
def test_run_again_and_test_alone(bench, trainer):
    run = bench.main(trainer, *options(trainer))
    assert run.status == 0, run.err
    again = bench.main(trainer, *options(trainer), output=bench.folder / "again")
    one, other = state_of(run), state_of(again)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    alone = bench.main(
        trainer, *options(trainer), output=bench.folder / "alone", flags=("--eval-only", "--model-dir", run.folder)
    )
    assert alone.status == 0, alone.err
    for key in ("accuracy", "macro_f1", "hyper_parameters", "tuned_on"):
        assert run.results[key] == again.results[key] == alone.results[key]
    assert run.results["correction"] == ("adapter" if trainer.endswith("PP") else "none")
    assert alone.results["trained_on"] == "Digits"
    assert f"* accuracy: {run.results['accuracy']:.1f}%" in run.log


@pytest.mark.parametrize("trainer", ON_FEATURES)
def test_fewer_classes_keep_their_logits(bench, trainer):
    made = bench.trainer(trainer, *SHORT)
    before, classes = scored(made, "test"), torch.tensor([2, 0])
    made.method.restrict(classes)
    made.data.text = dataclasses.replace(made.text, weights=made.text.weights[classes])
    torch.testing.assert_close(scored(made, "test"), before[:, classes], atol=1e-4, rtol=1e-4)


def test_linear_probe_keeps_its_logits_too(bench):
    made = bench.trainer("LinearProbe")
    before, classes = scored(made, "test"), torch.tensor([2, 0])
    made.method.restrict(classes)
    torch.testing.assert_close(scored(made, "test"), before[:, classes], atol=1e-4, rtol=1e-4)


# Formulas.


def test_task_res_takes_a_gradient_step_on_its_formula(bench):
    made = bench.trainer("TaskRes", *ONE_STEP, "IMO.STORE", bench.folder / "store")
    prompts = [template.format(name) for name in CLASSNAMES for template in made.prompts.templates]
    import clip

    with torch.no_grad():
        texts = made.clip_model.encode_text(clip.tokenize(prompts)).view(len(CLASSNAMES), -1, 32).mean(1)
    torch.testing.assert_close(made.method.base_weights, texts, atol=1e-5, rtol=1e-5)
    residual = torch.zeros_like(texts, requires_grad=True)

    def logits(features):
        weights = texts + 0.5 * residual
        cosines = features @ weights.T / features.norm(dim=1)[:, None] / weights.norm(dim=1)
        return made.clip_model.logit_scale.exp() * cosines

    F.cross_entropy(logits(made.task.keys), made.task.labels).backward()
    torch.testing.assert_close(made.method.residual, -0.5 * residual.grad, atol=1e-5, rtol=1e-3)
    residual = made.method.residual
    torch.testing.assert_close(scored(made, "test"), logits(made.data.queries("test").features), atol=1e-4, rtol=1e-4)


def test_clap_takes_a_gradient_step_on_its_formula(bench):
    made = bench.trainer("CLAP", *ONE_STEP, "IMO.STORE", bench.folder / "store")
    anchors, features, labels = made.text.unnormalised, made.task.keys, made.task.labels
    cosines = F.normalize(features, dim=-1) @ F.normalize(anchors, dim=-1).T
    zero_shot = torch.softmax(made.text.logit_scale * cosines, dim=1)
    multipliers = torch.stack([zero_shot[labels == c, c].mean() for c in range(4)])
    torch.testing.assert_close(made.method.multipliers, multipliers, atol=1e-6, rtol=1e-4)
    weights = anchors.clone().requires_grad_()
    cosines = F.normalize(features, dim=-1) @ (weights / weights.norm(dim=1, keepdim=True)).T
    F.cross_entropy(made.text.logit_scale * cosines, labels).backward()  # the penalty has no slope where it is zero
    torch.testing.assert_close(made.method.weights, anchors - 0.5 * weights.grad, atol=1e-5, rtol=1e-4)


def test_clip_adapter_against_a_formula(bench):
    made = bench.trainer("CLIPAdapter", *SHORT)
    down, up, alpha = made.method.down.numpy(), made.method.up.numpy(), made.method.settings["alpha"]
    assert down.shape == (8, 32) and up.shape == (32, 8) and alpha in (0.2, 0.4, 0.6, 0.8)
    features, expected = made.data.queries("test").features.numpy(), []
    for feature in features:
        adapted = np.maximum(up @ np.maximum(down @ feature, 0), 0)
        mixed = alpha * adapted + (1 - alpha) * feature
        expected.append(made.text.logit_scale * (made.text.weights.numpy() @ mixed) / np.linalg.norm(mixed))
    np.testing.assert_allclose(scored(made, "test").numpy(), np.array(expected), atol=1e-3)


def test_tip_adapter_f_against_a_formula(bench):
    made = bench.trainer("TipAdapterFPP", *SHORT)
    state, settings = made.method, made.method.settings
    queries = F.normalize(made.data.queries("test").corrected, dim=-1)
    keys = state.keys / state.keys.norm(dim=1, keepdim=True)
    values = torch.exp(-settings["beta"] * (1 - queries @ keys.T)) @ F.one_hot(state.labels, 4).float()
    zero_shot = made.text.logit_scale * F.normalize(made.data.queries("test").features, dim=-1) @ made.text.weights.T
    torch.testing.assert_close(scored(made, "test"), zero_shot + settings["alpha"] * values, atol=1e-3, rtol=1e-4)
    assert not torch.equal(keys, F.normalize(made.task.corrected_keys, dim=-1))  # they were trained
    assert settings.keys() == {"alpha", "beta", "epoch"}


@pytest.mark.parametrize("trainer", ON_IMAGES)
def test_prompt_trainers_against_zero_shot_of_their_words(bench, trainer):
    """Without a step taken, a context of words is a template."""
    node = trainer.upper()
    still = ("OPTIM.LR", 0.0, "OPTIM.MAX_EPOCH", 1, "OPTIM.WARMUP_EPOCH", -1)
    made = bench.trainer(trainer, f"TRAINER.{node}.CTX_INIT", "a photo of a", *still)
    if trainer == "CoCoOp":
        torch.nn.init.zeros_(made.learner.meta_net.linear2.weight)
        torch.nn.init.zeros_(made.learner.meta_net.linear2.bias)
    import clip

    image = next(iter(made.test_loader))["img"]
    with torch.no_grad():
        _, expected = made.clip_model(image, clip.tokenize([f"a photo of a {name}." for name in CLASSNAMES]))
        torch.testing.assert_close(made.model_inference(image).T, expected, atol=1e-3, rtol=1e-4)


# Epochs and protocols.


def test_the_best_epoch_on_validation_is_kept(bench):
    made = bench.trainer("TaskRes", *SHORT, "TEST.FINAL_MODEL", "best_val", "OPTIM.LR", 0.2)
    assert made.method.tuning_accuracy == made.method.accuracy(made.data.queries("val"))
    assert str(made.protocol) == "val (full)" and 1 <= made.method.settings["epoch"] <= 3
    last = bench.trainer("TaskRes", *SHORT, "OPTIM.LR", 0.2, output=bench.folder / "last")
    assert (last.method.tuning_accuracy, str(last.protocol)) == (None, "nothing")
    assert last.method.accuracy(last.data.queries("val")) <= made.method.tuning_accuracy


@pytest.mark.parametrize(
    "trainer, tuned_on",
    [
        ("LinearProbe", "support (cross-validation)"),
        ("TipAdapterF", "support (leave-one-out)"),
        ("CLIPAdapter", "nothing"),
        ("TaskRes", "nothing"),
        ("CoOp", "nothing"),
    ],
)
def test_without_validation_images(bench, trainer, tuned_on):
    run = bench.main(trainer, *options(trainer), "DATASET.VALIDATION", "support")
    assert run.status == 0, run.err
    assert run.results["tuned_on"] == tuned_on
    assert "epoch" not in run.results["hyper_parameters"]


def test_linear_probe_on_one_shot_and_no_validation_takes_a_fixed_strength(bench):
    bench.store = bench.folder / "store"
    run = bench.main("LinearProbe", "DATASET.VALIDATION", "support", shots=1)
    assert run.results["hyper_parameters"] == {"C": 0.316} and run.results["tuned_on"] == "nothing"


def test_prompts_do_not_depend_on_the_workers(bench):
    alone = bench.main("CoOp", "OPTIM.MAX_EPOCH", 1, output=bench.folder / "alone")
    helped = bench.main("CoOp", "OPTIM.MAX_EPOCH", 1, "DATALOADER.NUM_WORKERS", 1, output=bench.folder / "helped")
    assert torch.equal(alone.state("prompt_learner")["ctx"], helped.state("prompt_learner")["ctx"])


# Bad input.


def test_linear_probe_refuses_one_class(bench):
    bench.data, bench.store = bench.folder / "data", bench.folder / "store"
    make_dataset(bench.data, classnames=("digit zero", "digit one"))
    bench.main("LinearProbe", "DATASET.SUBSAMPLE_CLASSES", "new").assert_refused("one class", "LinearProbe", "two")


@pytest.mark.parametrize(
    "trainer, words, extra",
    [
        ("TaskRes", ("OPTIM.LR",), ("OPTIM.LR", 1e38, "OPTIM.NAME", "sgd")),
        ("CoOp", ("OPTIM.LR",), ("OPTIM.LR", 1e38, "OPTIM.WARMUP_EPOCH", -1)),
        ("CoOp", ("TRAINER.COOP.PREC", "fp16"), ("TRAINER.COOP.PREC", "int8")),
        ("CoOp", ("CLASS_TOKEN_POSITION", "middle"), ("TRAINER.COOP.CLASS_TOKEN_POSITION", "start")),
        ("CoCoOp", ("N_CTX",), ("TRAINER.COCOOP.N_CTX", 80)),
        ("CoOp", ("TEST.FINAL_MODEL",), ("TEST.FINAL_MODEL", "best_val", "DATASET.VALIDATION", "support")),
        ("CLIPAdapter", ("RATIOS",), ("TRAINER.CLIPADAPTER.RATIOS", "(1.5,)")),
    ],
)
def test_bad_options_are_refused(bench, trainer, words, extra):
    bench.main(trainer, "OPTIM.MAX_EPOCH", 4, *extra).assert_refused(*words)
