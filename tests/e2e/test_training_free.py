"""Training-free methods, corrections and the protocol `support`, against independent computations."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bench import scored, tensors_of
from clip.model import CLIP
from test_command_line import same_state

from imo.classify.isoclip import IsoClip
from imo.model.patches import encode_patches
from imo.trainers.base import METHODS
from imo.trainers.base.corrections import BOTTOMS, TOPS, mean_affinity

CACHE_METHODS = ("TipAdapter", "TipX", "APE", "GDA", "ProKeR")
SUPPORT = ("DATASET.VALIDATION", "support")
ISOCLIP = ("IMO.CORRECTION", "isoclip")


def unit(rows):
    return F.normalize(rows.double(), dim=-1).numpy()


def right(logits, targets):
    return (np.asarray(logits).argmax(1) == np.asarray(targets)).mean() * 100


@pytest.fixture(scope="module")
def trained(assets, tmp_path_factory):
    """trained(name, *options): the trainer after a run with 4 shots, done once for this module."""
    from bench import Bench

    bench, runs = Bench(assets, tmp_path_factory.mktemp("trained")), {}

    def run(name, *options, **more):
        key = (name, options, *more.items())
        if key not in runs:
            runs[key] = bench.trainer(name, *options, output=bench.folder / str(len(runs)), **more)
        return runs[key]

    return run


# Methods.


def ape_parts(trainer, split):
    """Channels by the paper's criterion with loops over pairs, and what is needed for APE's logits."""
    keys, labels, text = unit(trainer.method.keys), trainer.method.labels.numpy(), trainer.text.weights.double().numpy()
    samples, classes = np.concatenate([text, keys]), np.concatenate([np.arange(len(text)), labels])
    products = [a * b for a, i in zip(samples, classes) for b, j in zip(samples, classes) if i != j]
    criterion = -0.7 * np.mean(products, 0) + 0.3 * text.var(0, ddof=1)
    chosen = np.argsort(-criterion)[: len(trainer.method.channels)]
    u, k, w = (
        rows[:, chosen] / np.linalg.norm(rows[:, chosen], axis=1, keepdims=True)
        for rows in (unit(trainer.data.queries(split).corrected), keys, text)
    )
    powers = np.exp(k @ w.T)
    predictions = powers[np.arange(len(k)), labels] / powers.sum(1)
    return chosen, u @ k.T, np.eye(len(text))[labels] * -np.log2(predictions)[:, None], np.eye(len(text))[labels]


@pytest.mark.parametrize("name", ("APE", "APEPP"))
def test_ape(trained, name):
    trainer = trained(name)
    settings = trainer.method.settings
    for split in ("val", "test"):
        chosen, affinity, divergence, one_hot = ape_parts(trainer, split)
        assert set(chosen.tolist()) == set(trainer.method.channels.tolist())
        values = np.exp(settings["gamma"] * divergence) * one_hot
        logits = trainer.data.queries(split).zero_shot_logits().double().numpy()
        logits = logits + settings["alpha"] * np.exp(-settings["beta"] * (1 - affinity)) @ values
        np.testing.assert_allclose(scored(trainer, split).numpy(), logits, atol=2e-4)
    assert trainer.method.tuning_accuracy == pytest.approx(right(scored(trainer, "val"), trainer.data.labels("val")))
    for gamma in (0.0, 0.5):  # no point of the grid is better
        values = np.exp(gamma * ape_parts(trainer, "val")[2]) * one_hot
        for alpha in np.linspace(0, 20, 200)[::20]:
            for beta in np.linspace(0, 20, 20)[::3]:
                scores = np.exp(-beta * (1 - ape_parts(trainer, "val")[1])) @ values
                other = trainer.data.queries("val").zero_shot_logits().double().numpy() + alpha * scores
                assert right(other, trainer.data.labels("val")) <= trainer.method.tuning_accuracy + 1e-9


@pytest.mark.parametrize("name", ("GDA", "GDAPP"))
def test_gda(trained, name):
    trainer = trained(name)
    views, labels = trainer.task.corrected_views, trainer.task.labels.numpy()
    samples, classes = unit(views.flatten(0, 1)), np.repeat(labels, views.shape[1])
    means = np.stack([samples[classes == c].mean(0) for c in range(4)])
    sigma = np.cov((samples - means[classes]).T)
    precision = len(sigma) * np.linalg.inv((len(samples) - 1) * sigma + np.trace(sigma) * np.eye(len(sigma)))

    def logits(split, alpha):
        scores = unit(trainer.data.queries(split).corrected) @ precision @ means.T
        scores = scores - np.einsum("cd,de,ce->c", means, precision, means) / 2
        return trainer.data.queries(split).zero_shot_logits().double().numpy() + alpha * scores

    alpha = trainer.method.settings["alpha"]
    np.testing.assert_allclose(scored(trainer, "test").numpy(), logits("test", alpha), rtol=1e-3, atol=1e-2 * alpha)
    grid, targets = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0), trainer.data.labels("val")
    accuracies = {a: right(logits("val", a), targets) for a in grid}
    assert trainer.method.tuning_accuracy == pytest.approx(max(accuracies.values()))
    assert alpha == min(a for a, found in accuracies.items() if found == max(accuracies.values()))


@pytest.mark.parametrize("name", ("ProKeR", "ProKeRPP"))
def test_proker(trained, name):
    trainer = trained(name)
    settings, one_hot = trainer.method.settings, np.eye(4)[trainer.task.labels.numpy()]
    keys = unit(trainer.task.corrected_keys)

    def logits(split, beta, ridge):
        def kernel(rows):
            return np.exp(-beta * (1 - rows @ keys.T))

        text = trainer.text.weights.double().numpy().T
        lacking = one_hot - unit(trainer.task.keys) @ text
        mended = np.linalg.solve(kernel(keys) + ridge * np.eye(len(keys)), lacking)
        return (
            unit(trainer.data.queries(split).features) @ text
            + kernel(unit(trainer.data.queries(split).corrected)) @ mended
        )

    expected = logits("test", settings["beta"], settings["ridge"])
    np.testing.assert_allclose(scored(trainer, "test").numpy(), expected, atol=1e-3)
    accuracies = [
        right(logits("val", beta, ridge), trainer.data.labels("val"))
        for beta in np.geomspace(0.1, 10, 9)
        for ridge in np.geomspace(1e-3, 1e3, 19)
    ]
    assert trainer.method.tuning_accuracy == pytest.approx(max(accuracies))


def test_calip(trained):
    trainer = trained("CALIP")
    settings, scale = trainer.method.settings, trainer.text.logit_scale
    loader = torch.utils.data.DataLoader(trainer.dm.test_loader.dataset, batch_size=64)
    features, patches = encode_patches(trainer.clip_model, next(iter(loader))["img"])
    text = trainer.text.weights.double().numpy()
    expected = []
    for f, v in zip(unit(features), patches):  # image by image
        v = unit(v)
        similarity = np.exp(2 * v @ text.T)
        text_seen = (similarity / similarity.sum(0)).T @ v
        image_seen = similarity / similarity.sum(1, keepdims=True) @ text
        pooled = image_seen.mean(0) + image_seen.max(0)
        expected.append(scale * (f @ text.T + settings["alpha"] * text_seen @ f + settings["gamma"] * text @ pooled))
    np.testing.assert_allclose(scored(trainer, "test").numpy(), expected, atol=1e-3)
    by_text, by_patches = (part.numpy() for part in trainer.method.attention_logits(trainer.data.queries("val")))
    zero_shot = trainer.data.queries("val").zero_shot_logits().numpy()
    accuracies = [
        right(zero_shot + a * by_text + g * by_patches, trainer.data.labels("val"))
        for a in np.linspace(0, 2, 41)
        for g in np.linspace(0, 0.1, 21)
    ]
    assert trainer.method.tuning_accuracy == pytest.approx(max(accuracies))


def test_zero_shot_prompts(trained):
    one, several = trained("ZeroshotCLIP"), trained("ZeroshotCLIP2")
    assert list(one.prompts.templates) == ["a handwritten {}."]
    assert len(several.prompts.templates) == 8 and several.prompts.templates[0] == "itap of a {}."
    assert several.prompts.templates[-1] == "a handwritten {}."
    assert one.method.choose_templates(several.prompts.templates) == ["a photo of a {}."]  # several, as ImageNet has
    general = list(several.prompts.templates[:7])
    assert several.method.choose_templates(general) == general


@pytest.mark.parametrize("name", ("APEPP", "GDA", "ProKeR", "CALIP", "ZeroshotCLIP2"))
def test_a_state_serves_a_part_of_its_classes(trained, name):
    """As ImageNet's serves its variants: logits of the classes that stay are what they were."""
    trainer = trained(name)
    before, kept = scored(trainer, "test"), torch.tensor([3, 1])
    state, text = trainer.method.state_dict(), trainer.text
    try:
        trainer.method.restrict(kept)
        trainer.data.text = dataclasses.replace(text, weights=text.weights[kept])
        if name != "CALIP":  # whose patches see the classes that there are
            torch.testing.assert_close(scored(trainer, "test"), before[:, kept], atol=1e-4, rtol=1e-4)
    finally:
        trainer.data.text = text
        trainer.method.load_state_dict(state)
    assert torch.equal(scored(trainer, "test"), before)


# Corrections.


@pytest.mark.parametrize("name", CACHE_METHODS)
def test_every_correction_reaches_every_cache_method(trained, name):
    plain, adapted, iso = trained(name), trained(f"{name}PP"), trained(name, *ISOCLIP, "IMO.ISOCLIP.TOP", 8)
    overlaps = [trainer.overlap.area for trainer in (plain, adapted, iso)]
    assert len(set(overlaps)) == 3
    for trainer in (adapted, iso):
        assert not torch.allclose(scored(trainer, "test"), scored(plain, "test"), atol=1e-4)
        found, expected = (t.data.queries("test").zero_shot_logits() for t in (trainer, plain))
        assert torch.equal(found, expected)
    assert iso.views.encoded["adapter"] == 0
    if name == "TipX":
        assert torch.equal(iso.method.probabilities, plain.method.probabilities)  # KL stays on CLIP's


def test_isoclips_ranges_are_the_best_on_validation(trained):
    trainer = trained("TipAdapter", *ISOCLIP)
    isoclip = IsoClip(trainer.clip_model.visual.proj, trainer.clip_model.text_projection)
    labels, targets = trainer.task.labels.numpy(), trainer.data.labels("val").numpy()
    accuracy = {}
    for top in {round(share * isoclip.rank) for share in TOPS}:
        for bottom in {round(share * isoclip.rank) for share in BOTTOMS}:
            q, k = (
                unit(f @ isoclip.map(top, bottom)) for f in (trainer.data.queries("val").features, trainer.task.keys)
            )
            means = np.stack([(q @ k.T)[:, labels == c].mean(1) for c in range(4)], 1)
            accuracy[top, bottom] = right(means, targets)
    best = [pair for pair, found in accuracy.items() if found == max(accuracy.values())]
    expected = min(best, key=lambda pair: (sum(pair), pair))
    settings = trainer.method.settings
    assert (settings["isoclip_top"], settings["isoclip_bottom"]) == expected
    torch.testing.assert_close(trainer.method.keys, trainer.task.keys @ isoclip.map(*expected), atol=1e-4, rtol=1e-4)


def test_isoclips_ranges_can_be_set_and_are_kept_for_other_test_sets(bench):
    output = bench.folder / "source"
    options = (*ISOCLIP, "IMO.ISOCLIP.TOP", 5, "IMO.ISOCLIP.BOTTOM", 2)
    source = bench.main("TipAdapter", *options, output=output)
    assert source.results["hyper_parameters"]["isoclip_top"] == 5
    assert source.results["correction"] == "isoclip"
    flags = ("--eval-only", "--model-dir", output)
    again = bench.main("TipAdapter", *ISOCLIP, flags=flags, output=bench.folder / "again")
    for key in ("accuracy", "hyper_parameters"):
        assert again.results[key] == source.results[key]
    run = bench.main("TipAdapter", flags=flags, output=bench.folder / "plain")
    run.assert_refused("--model-dir", "correction")


@pytest.mark.parametrize(
    "options, words",
    [
        ((*ISOCLIP, "IMO.ISOCLIP.TOP", 32), ("IMO.ISOCLIP", "first 32", "of 32")),
        ((*ISOCLIP, "IMO.ISOCLIP.TOP", 20, "IMO.ISOCLIP.BOTTOM", 12), ("IMO.ISOCLIP", "of 32", "less than 32")),
        ((*ISOCLIP, "IMO.ISOCLIP.BOTTOM", -2), ("IMO.ISOCLIP.BOTTOM", "at least -1")),
        (("IMO.CORRECTION", "nonesuch"), ("IMO.CORRECTION", "none, adapter, isoclip", "'nonesuch'")),
        (("IMO.CORRECTION", "adapter", "IMO.ADAPTER", ""), ("IMO.ADAPTER", "bash scripts/imo_adapter.sh")),
    ],
)
def test_bad_corrections(bench, options, words):
    run = bench.main("GDA", *options)
    run.assert_refused(*words)
    assert not (bench.folder / "GDA").exists()


def test_isoclip_needs_a_linear_projector(bench):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(CLIP(16, 64, (1, 1, 1, 1), 8, None, 77, 49408, 64, 1, 1).state_dict(), bench.folder / "resnet.pt")
    options = ("MODEL.BACKBONE.NAME", bench.folder / "resnet.pt", "INPUT.SIZE", "(64, 64)")
    bench.main("TipAdapter", *options, *ISOCLIP).assert_refused("IMO.CORRECTION", "isoclip", "ViT", "resnet.pt")


def test_mean_affinity_leaves_out_the_own_key():
    generator = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator)
    labels = torch.tensor([0, 0, 0, 1, 3])
    found = mean_affinity(queries, keys, F.one_hot(labels, 4), torch.arange(5))
    cosine = unit(queries) @ unit(keys).T
    for i in range(5):
        for c in range(4):
            others = [j for j in range(5) if j != i and labels[j] == c]
            expected = np.mean([cosine[i, j] for j in others]) if others else -math.inf
            assert float(found[i, c]) == pytest.approx(expected, abs=1e-5)


# Protocols.


@pytest.mark.parametrize("name", ("TipAdapter", "TipXPP", "APE"))
def test_leave_one_out_in_the_search(trained, name):
    """The accuracy of the setting found: each support image against the others' keys, and no better setting."""
    trainer = trained(name, *SUPPORT)
    assert str(trainer.protocol) == "support (leave-one-out)" and trainer.dm.dataset.val == []
    settings, targets = trainer.method.settings, trainer.task.labels.numpy()
    channels = trainer.method.channels if name == "APE" else torch.arange(32)
    queries, keys = (unit(f[:, channels]) for f in (trainer.data.queries("support").corrected, trainer.method.keys))
    weights = torch.exp(settings["gamma"] * trainer.method.divergence).double().numpy() if name == "APE" else 1.0
    prior = 0.0
    if name == "TipXPP":
        method, support = trainer.method, trainer.task.support
        prior = settings["gamma"] * method.kl_scores(support, method.ranges(support)).double().numpy()
    zero_shot = trainer.data.queries("support").zero_shot_logits().double().numpy() + prior

    def accuracy(alpha, beta):
        values = np.exp(-beta * (1 - queries @ keys.T)) * weights
        np.fill_diagonal(values, 0)
        return right(zero_shot + alpha * values @ np.eye(4)[targets], targets)

    assert trainer.method.tuning_accuracy == pytest.approx(accuracy(settings["alpha"], settings["beta"]))
    grid = [accuracy(a, b) for a in np.linspace(0, 20, 200)[::10] for b in np.linspace(0, 20, 20)[::2]]
    assert max(grid) <= trainer.method.tuning_accuracy + 1e-9 and min(grid) < trainer.method.tuning_accuracy


@pytest.mark.parametrize("name", ("GDA", "ProKeR"))
def test_leave_one_out_in_closed_form_is_a_run_without_the_image(trained, name):
    """For each support image, the method fitted on the others with the setting found."""
    trainer = trained(name, *SUPPORT)
    settings, labels = trainer.method.settings, trainer.task.labels
    from imo.classify.gaussian import SharedGaussian
    from imo.classify.kernel_ridge import KernelRidge

    hits = 0
    for i in range(len(labels)):
        kept = [j for j in range(len(labels)) if j != i]
        query = trainer.data.queries("support").corrected[i : i + 1]
        if name == "GDA":
            gaussian = SharedGaussian(trainer.task.corrected_views[kept], labels[kept], 4)
            logits = (
                trainer.data.queries("support").zero_shot_logits()[i] + settings["alpha"] * gaussian.logits(query)[0]
            )
        else:
            keys = F.normalize(trainer.task.corrected_keys[kept], dim=-1).double()
            kernels = (
                torch.exp(-settings["beta"] * (1 - F.normalize(q.double(), dim=-1) @ keys.T)) for q in (keys, query)
            )
            cosine = (F.normalize(trainer.task.keys[kept], dim=-1) @ trainer.text.weights.T).double()
            regression = KernelRidge(next(kernels), F.one_hot(labels[kept], 4) - cosine)
            logits = trainer.data.queries("support").zero_shot_logits()[i] / trainer.text.logit_scale
            logits = logits + regression.predict(next(kernels), settings["ridge"])[0]
        hits += int(logits.argmax() == labels[i])
    assert trainer.method.tuning_accuracy == pytest.approx(100 * hits / len(labels))


@pytest.mark.parametrize("name", ("TipX", "ProKeR", "CALIP"))
def test_support_needs_no_validation_images(bench, name):
    digits = bench.copy_data()
    for path in digits.rglob("val_*.png"):
        path.write_text("no image")
    run = bench.main(name, *SUPPORT, "IMO.STORE", bench.folder / "store")
    assert run.status == 0, run.err
    assert run.results["tuned_on"] == "support (leave-one-out)"
    assert run.results["val_accuracy"] is not None
    assert run.results["overlap"]["images"] == 16 if name != "CALIP" else run.results["overlap"] is None


def test_support_with_one_shot_takes_the_fixed_setting(bench):
    for name in CACHE_METHODS:
        run = bench.main(name, *SUPPORT, "IMO.STORE", bench.folder / "store", shots=1)
        assert run.status == 0, run.err
        assert run.results["hyper_parameters"] == METHODS[name].one_shot
        assert run.results["tuned_on"] == "nothing (support, one shot)" and run.results["val_accuracy"] is None
        assert "nothing to tune on, fixed setting" in run.log


@pytest.mark.parametrize("name, options", [("GDAPP", ()), ("CALIP", ()), ("APE", SUPPORT), ("ProKeR", SUPPORT)])
def test_fit_never_reads_the_test_set(bench, trained, name, options):
    digits = bench.copy_data()
    for path in digits.rglob("test_*.png"):
        path.write_text("no image")
    run = bench.main(name, *options, "TEST.NO_TEST", True, "IMO.STORE", bench.folder / "store")
    assert run.status == 0, run.err
    expected = tensors_of(trained(name, *options).method.state_dict())
    torch.testing.assert_close(run.state(), expected, rtol=1e-4, atol=1e-5)


def test_few_on_a_dataset_without_validation_names_the_way_out(bench):
    import json

    path = bench.copy_data() / "split.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "val": []}))
    run = bench.main("GDA", "DATASET.VALIDATION", "few")
    run.assert_refused("Digits", "no val images", "DATASET.VALIDATION support")
    assert bench.main("GDA", *SUPPORT).status == 0


def test_the_same_seed_gives_the_same_state(bench, trained):
    again = bench.trainer("APE", *SUPPORT, output=bench.folder / "again")
    assert same_state(tensors_of(again.method.state_dict()), tensors_of(trained("APE", *SUPPORT).method.state_dict()))
