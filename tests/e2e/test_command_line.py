"""train.py, from arguments to results, against independent computations."""

import functools
import hashlib
import json
import random
import re
import shutil
from pathlib import Path

import clip
import numpy as np
import pytest
import torch
import torchvision.transforms as T
from bench import CLASSNAMES, make_dataset, scored
from PIL import Image
from safetensors.torch import load_file

import imo
from imo.trainers.base.dataset_task import DatasetTask
from imo.trainers.base.inputs import settings_of
from imo.trainers.base.views import seeded
from imo.workbench import train

CACHE_TRAINERS = ("TipAdapter", "TipX", "TipAdapterPP", "TipXPP")
TRAINERS = ("ZeroshotCLIP", "ZeroshotCLIP2", "CALIP", *CACHE_TRAINERS, "APE", "GDAPP", "ProKeR", "IMOAdapter")
SCHEMA = {
    "schema_version", "trainer", "dataset", "cfg", "backbone", "backbone_sha256", "adapter_sha256", "correction",
    "shots", "seed", "accuracy", "macro_f1", "n_test", "tuned_on", "hyper_parameters", "val_accuracy", "seconds",
    "images_encoded", "versions",
}  # fmt: skip
IMAGES = {"val": 12, "test": 20}
VIEWS = 4 * 4 * 10  # classes x shots x passes


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def same_state(one, other):
    """Bit for bit."""
    return one.keys() == other.keys() and all(
        a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
        for a, b in zip(one.values(), other.values())
    )


def coop_accuracy(log, end_signal):
    """What CoOp's parse_test_res.py reads from a log: the metric on the last matching line after the end signal."""
    good_to_go, found = False, None
    for line in log.splitlines():
        good_to_go = good_to_go or line.strip() == end_signal
        match = re.search(r"\* accuracy: ([\.\deE+-]+)%", line.strip())
        if match and good_to_go:
            found = float(match.group(1))
    return found


@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_trainer_leaves_results(finished, assets, trainer):
    run = finished(trainer)
    results = run.results
    corrected = trainer.endswith("PP")
    assert results.keys() >= SCHEMA
    assert results["schema_version"] == 2
    assert (results["trainer"], results["dataset"], results["cfg"]) == (trainer, "Digits", "glyph")
    assert (results["shots"], results["seed"], results["n_test"]) == (4, 1, IMAGES["test"])
    assert results["backbone"] == str(assets.backbone)
    assert results["backbone_sha256"] == sha256(assets.backbone)
    assert results["adapter_sha256"] == (sha256(assets.adapter) if corrected else None)
    assert results["correction"] == ("adapter" if corrected or trainer == "IMOAdapter" else "none")
    assert 0 <= results["macro_f1"] <= 100
    assert results["accuracy"] * IMAGES["test"] / 100 == pytest.approx(round(results["accuracy"] / 5), abs=1e-9)
    assert all(seconds >= 0 for seconds in results["seconds"].values())
    assert {"python", "torch", "torchvision"} <= results["versions"].keys()
    names = {
        "CALIP": {"alpha", "gamma"},
        "TipAdapter": {"alpha", "beta"},
        "TipX": {"alpha", "beta", "gamma"},
        "APE": {"alpha", "beta", "gamma"},
        "GDA": {"alpha"},
        "ProKeR": {"beta", "ridge"},
    }.get(trainer[:-2] if corrected else trainer, set())
    assert results["hyper_parameters"].keys() == names
    assert results["tuned_on"] == ("val (full)" if names else "nothing")
    assert results["transductive"] == trainer.startswith("TipX")
    assert results["base"] == (trainer[:-2] if corrected else None)
    assert (results["val_accuracy"] is None) != bool(names)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_log_is_read_by_coops_parser(finished, trainer):
    run = finished(trainer)
    assert coop_accuracy(run.log, "Finish training") == pytest.approx(run.results["accuracy"], abs=0.05)
    assert coop_accuracy(run.out, "Finish training") == coop_accuracy(run.log, "Finish training")


class Reference:
    """The whole method again, from files to logits, in float64 and with loops."""

    MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

    def __init__(self, assets, shots=4, seed=1, passes=10):
        self.data, self.seed, self.passes = assets.data, seed, passes
        self.split = json.loads((assets.data / "digits/split.json").read_text())
        self.model, _ = imo.load_clip(str(assets.backbone))
        imo.load_adapters(self.model, assets.adapter)
        by_class = {}
        for entry in self.split["train"]:
            by_class.setdefault(entry[1], []).append(entry)
        random.seed(seed)
        self.split["support"] = [entry for members in by_class.values() for entry in random.sample(members, shots)]
        with torch.no_grad():
            texts = self.model.encode_text(clip.tokenize([f"a handwritten {name}." for name in CLASSNAMES]))
        self.classifier = torch.nn.functional.normalize(texts.double(), dim=-1).numpy()

    def targets(self, split):
        return np.array([label for _, label, _ in self.split[split]])

    def encode(self, views, corrected):
        return imo.encode_images(self.model, torch.stack(views), corrected).double().numpy()

    @functools.cache  # noqa: B019 (one object a session)
    def features(self, split, corrected):
        mode = T.InterpolationMode.BICUBIC
        transform = T.Compose(
            [T.Resize(24, interpolation=mode), T.CenterCrop(24), T.ToTensor(), T.Normalize(self.MEAN, self.STD)]
        )
        views = [transform(self.image(name)) for name, _, _ in self.split[split]]
        features = self.encode(views, corrected)
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    @functools.cache  # noqa: B019
    def keys(self, corrected):
        crop = T.RandomResizedCrop((24, 24), scale=(0.5, 1.0), interpolation=T.InterpolationMode.BICUBIC)
        transform = T.Compose([crop, T.ToTensor(), T.Normalize(self.MEAN, self.STD)])
        keys = []
        for name, _, _ in self.split["support"]:
            image, path = self.image(name), f"digits/images/{name}"
            views = [seeded(transform, image, self.seed, path, number) for number in range(self.passes)]
            mean = self.encode(views, corrected).mean(0)
            keys.append(mean / np.linalg.norm(mean))
        return np.stack(keys)

    def image(self, name):
        return Image.open(self.data / "digits/images" / name).convert("RGB")

    def parts(self, split, corrected):
        """Zero-shot logits (N, C), affinity (N, M) and Tip-X's scores (N, C)."""
        features = self.features(split, False)
        zero_shot = float(self.model.logit_scale.exp()) * features @ self.classifier.T
        affinity = self.features(split, corrected) @ self.keys(corrected).T
        queries, keys = self.probabilities(features), self.probabilities(self.keys(False))
        kl = np.array([[np.sum(p * np.log(p / q)) for q in keys] for p in queries])
        low, high = affinity.min(), affinity.max()
        phi = -((kl - kl.min()) / (kl.max() - kl.min()) * (high - low) + low)
        return zero_shot, affinity, self.by_class(phi)

    def probabilities(self, features):
        exponentials = np.exp(features @ self.classifier.T / 0.5)
        return exponentials / exponentials.sum(1, keepdims=True)

    def by_class(self, values):
        out = np.zeros((len(values), len(CLASSNAMES)))
        for j, label in enumerate(self.targets("support")):
            out[:, label] += values[:, j]
        return out


@pytest.fixture(scope="module")
def reference(assets):
    return Reference(assets)


@pytest.mark.parametrize("name", CACHE_TRAINERS)
def test_logits_and_search_equal_an_independent_computation(bench, reference, name):
    trainer = bench.trainer(name)
    settings = trainer.method.settings
    gamma = settings.get("gamma", 0.0)

    def expected(split, alpha, beta, gamma):
        zero_shot, affinity, prior = reference.parts(split, name.endswith("PP"))
        return zero_shot + alpha * reference.by_class(np.exp(-beta * (1 - affinity))) + gamma * prior

    logits = expected("test", settings["alpha"], settings["beta"], gamma)
    np.testing.assert_allclose(scored(trainer, "test").numpy(), logits, atol=1e-2)  # the random CLIP's KL are tiny
    results = json.loads((Path(trainer.output_dir) / "results.json").read_text())
    assert results["hyper_parameters"] == settings
    assert results["accuracy"] == pytest.approx(100 * np.mean(logits.argmax(1) == reference.targets("test")))

    # Every setting of the paper's grid, the naive way; the first best in (alpha, beta, gamma) order wins.
    zero_shot, affinity, prior = reference.parts("val", name.endswith("PP"))
    alphas, betas = np.linspace(0, 20, 200), np.linspace(0, 20, 20)
    gammas = np.linspace(0, 20, 50) if "gamma" in settings else np.zeros(1)
    right = np.empty((len(alphas), len(betas), len(gammas)))
    for b, beta in enumerate(betas):
        scores = reference.by_class(np.exp(-beta * (1 - affinity)))
        for g, value in enumerate(gammas):
            every = zero_shot + value * prior + alphas[:, None, None] * scores
            right[:, b, g] = (every.argmax(2) == reference.targets("val")).mean(1)
    assert results["val_accuracy"] == pytest.approx(100 * right.max())
    a, b, g = np.unravel_index(right.argmax(), right.shape)
    assert (settings["alpha"], settings["beta"], gamma) == pytest.approx((alphas[a], betas[b], gammas[g]))
    assert right.max() > right.min()  # or the search would have had nothing to choose


def test_zero_shot_equals_an_independent_computation(bench, reference):
    trainer = bench.trainer("ZeroshotCLIP")
    expected = float(reference.model.logit_scale.exp()) * reference.features("test", False) @ reference.classifier.T
    np.testing.assert_allclose(scored(trainer, "test").numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("name", ("TipAdapter", "TipX"))
def test_fresh_adapters_change_nothing(bench, assets, finished, name):
    fresh = bench.main(f"{name}PP", "IMO.ADAPTER", assets.fresh_adapter)
    plain = finished(name)
    assert fresh.results["adapter_sha256"] == sha256(assets.fresh_adapter)
    for key in ("accuracy", "macro_f1", "hyper_parameters", "val_accuracy"):
        assert fresh.results[key] == plain.results[key]
    assert same_state(fresh.state(), plain.state())


def test_corrected_differs_from_plain(finished):
    assert not torch.equal(finished("TipXPP").state()["keys"], finished("TipX").state()["keys"])


def test_correction_option_makes_a_plain_trainer_a_corrected_one(bench, finished):
    run = bench.main("TipAdapter", "IMO.CORRECTION", "adapter")
    assert run.results["correction"] == "adapter"
    assert torch.equal(run.state()["keys"], finished("TipAdapterPP").state()["keys"])
    assert run.results["accuracy"] == finished("TipAdapterPP").results["accuracy"]


def test_state_dict_and_safetensors_backbones_agree(bench, assets, finished):
    run = bench.main("TipX", "MODEL.BACKBONE.NAME", assets.safetensors)
    assert run.results["backbone_sha256"] == sha256(assets.safetensors)
    assert same_state(run.state(), finished("TipX").state())
    assert run.results["accuracy"] == finished("TipX").results["accuracy"]


# The search.


@pytest.mark.parametrize("trainer", ["TipAdapter", "TipXPP"])
def test_the_surface_of_the_search_stands_beside_the_results(finished, trainer):
    run = finished(trainer)
    with np.load(run.folder / "surface.npz", allow_pickle=False) as surface:
        axes = [surface[name] for name in ("alphas", "betas", "gammas")]
        assert [len(axis) for axis in axes] == [200, 20, 50 if "X" in trainer else 1]
        at = np.unravel_index(surface["correct"].argmax(), surface["correct"].shape)
        assert 100 * surface["correct"].max() / surface["n"] == pytest.approx(run.results["val_accuracy"])
    best = {name: axis[i] for name, axis, i in zip(("alpha", "beta", "gamma"), axes, at)}
    for name, value in run.results["hyper_parameters"].items():
        assert value == pytest.approx(best[name])


def test_the_best_of_all_alphas_is_searched_on_request(bench, finished):
    exact = bench.main("TipXPP", "IMO.SEARCH", "exact").results
    grid = finished("TipXPP").results
    assert exact["val_accuracy"] >= grid["val_accuracy"]
    assert exact["hyper_parameters"]["alpha"] != grid["hyper_parameters"]["alpha"]


# The test set.


@pytest.mark.parametrize("trainer", CACHE_TRAINERS)
def test_fit_never_reads_the_test_set(bench, finished, monkeypatch, trainer):
    plain, digits = finished(trainer), bench.copy_data()
    for path in digits.rglob("test_*.png"):
        path.write_text("no image")
    items = DatasetTask.items

    def guarded(self, split):
        assert split != "test"
        return items(self, split)

    monkeypatch.setattr(DatasetTask, "items", guarded)
    run = bench.main(trainer, "TEST.NO_TEST", True, "IMO.STORE", bench.folder / "store")
    assert run.status == 0, run.err
    assert same_state(run.state(), plain.state())
    assert not (run.folder / "results.json").exists()


def test_test_labels_change_the_accuracy_alone(bench, finished):
    split = bench.copy_data() / "split.json"
    content = json.loads(split.read_text())
    for entry in content["test"]:
        entry[1:] = (entry[1] + 1) % 4, CLASSNAMES[(entry[1] + 1) % 4]
    split.write_text(json.dumps(content))
    run, plain = bench.main("TipXPP"), finished("TipXPP")
    assert same_state(run.state(), plain.state())
    assert run.results["hyper_parameters"] == plain.results["hyper_parameters"]
    assert run.results["accuracy"] != plain.results["accuracy"]


# Seeds and views.


def test_workers_change_no_bit(bench):
    runs = [
        bench.main(
            "TipXPP", "DATALOADER.NUM_WORKERS", n, "IMO.STORE", bench.folder / f"store{n}", output=bench.folder / f"{n}"
        )
        for n in (0, 2)
    ]
    assert all(run.results["images_encoded"] == {"clip": VIEWS + 32, "adapter": VIEWS + 32} for run in runs)
    assert same_state(runs[0].state(), runs[1].state())
    assert runs[0].results["accuracy"] == runs[1].results["accuracy"]


@pytest.mark.parametrize("trainer", ("TipXPP", "CALIP"))
@pytest.mark.parametrize("size", (1, 7, 100))
def test_batches_change_no_bit(bench, finished, trainer, size):
    """Neither what a run finds nor what it is."""
    run = bench.main(trainer, "DATALOADER.TEST.BATCH_SIZE", size, "IMO.STORE", bench.folder / "store")
    plain = finished(trainer)
    assert same_state(run.state(), plain.state())
    for key in ("accuracy", "val_accuracy", "hyper_parameters", "settings"):
        assert run.results[key] == plain.results[key]


def test_what_was_encoded_before_changes_no_bit(bench, finished):
    """One shot first: of the run's views, some are in the store and some are not."""
    bench.main("TipAdapter", "IMO.STORE", bench.folder / "store", shots=1, output=bench.folder / "first")
    run = bench.main("TipXPP", "IMO.STORE", bench.folder / "store", output=bench.folder / "second")
    assert 0 < run.results["images_encoded"]["clip"] < VIEWS + 32
    assert same_state(run.state(), finished("TipXPP").state())
    assert run.results["accuracy"] == finished("TipXPP").results["accuracy"]


def test_seed_0_is_a_seed(bench, finished):
    one = bench.main("TipAdapter", seed=0, output=bench.folder / "one")
    other = bench.main("TipAdapter", "IMO.STORE", bench.folder / "store", seed=0, output=bench.folder / "other")
    assert one.results["seed"] == 0
    assert "Setting fixed seed: 0" in one.out
    assert same_state(one.state(), other.state())
    assert not torch.equal(one.state()["keys"], finished("TipAdapter").state()["keys"])


def test_without_a_seed_the_draw_is_free(bench):
    keys = [
        bench.main("TipAdapter", "TEST.NO_TEST", True, seed=None, shots=3, output=bench.folder / str(i)).state()["keys"]
        for i in range(3)
    ]
    assert not all(torch.equal(keys[0], other) for other in keys[1:])  # 1 in 20 ** 8 that they are


def test_an_images_views_do_not_depend_on_shots(bench):
    store = ("IMO.STORE", bench.folder / "store")
    many = bench.main("TipAdapter", *store, shots=6)
    few = bench.main("TipAdapter", *store, shots=2)
    assert many.results["images_encoded"] == {"clip": 4 * 6 * 10 + 32, "adapter": 0}
    assert few.results["images_encoded"] == {"clip": 0, "adapter": 0}
    alone = bench.main("TipAdapter", "IMO.STORE", bench.folder / "other", shots=2, output=bench.folder / "alone")
    assert torch.equal(alone.state()["keys"], few.state()["keys"])
    rows = {row.numpy().tobytes() for row in many.state()["keys"]}
    assert all(row.numpy().tobytes() in rows for row in few.state()["keys"])


def test_global_random_state_is_left_alone():
    image = Image.new("RGB", (8, 8))
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate()
    seeded(T.Compose([T.RandomResizedCrop(4), T.ToTensor()]), image, 1, "a", 0)
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()


# The store.


def test_features_are_computed_once(bench):
    store = ("IMO.STORE", bench.folder / "store")
    encoded = [bench.main(t, *store).results["images_encoded"] for t in ("ZeroshotCLIP", *CACHE_TRAINERS)]
    assert encoded == [
        {"clip": 20, "adapter": 0},
        {"clip": 12 + VIEWS, "adapter": 0},
        {"clip": 0, "adapter": 0},
        {"clip": 0, "adapter": 32 + VIEWS},
        {"clip": 0, "adapter": 0},
    ]
    passes = bench.main("TipAdapter", *store, "IMO.PASSES", 11, output=bench.folder / "passes")
    assert passes.results["images_encoded"] == {"clip": 16, "adapter": 0}  # the eleventh view of each


@pytest.mark.parametrize("change", ("backbone", "adapter", "transform", "image"))
def test_features_of_something_else_are_not_taken(bench, assets, change):
    digits = bench.copy_data()
    store = ("IMO.STORE", bench.folder / "store")
    bench.main("TipAdapterPP", *store)
    options, expected = {
        "backbone": (
            ("MODEL.BACKBONE.NAME", bench.folder / "other.pt", "IMO.ADAPTER", bench.folder / "any"),
            (32, 192),
        ),
        "adapter": (("IMO.ADAPTER", assets.fresh_adapter), (0, 192)),
        "transform": (("INPUT.RRCROP_SCALE", "(0.6, 1.0)"), (32, 192)),
        "image": ((), (1, 1)),
    }[change]
    if change == "backbone":
        state = torch.load(assets.backbone, weights_only=True)
        state["visual.proj"] += 1
        torch.save(state, bench.folder / "other.pt")
        model, _ = imo.load_clip(str(bench.folder / "other.pt"))
        imo.attach_adapters(model, 4)
        imo.save_adapters(model, bench.folder / "any")
    if change == "image":
        Image.new("RGB", (20, 20), (9, 9, 9)).save(digits / "images/0/test_0.png")
    run = bench.main("TipAdapterPP", *store, *options, output=bench.folder / "second")
    assert run.status == 0, run.err
    assert tuple(run.results["images_encoded"].values()) == expected


# Another dataset with the cache kept.


@pytest.fixture
def source(finished):
    return finished("TipXPP")


def evaluate(bench, source, *options, trainer="TipXPP", **more):
    flags = ("--eval-only", "--model-dir", source.folder)
    return bench.main(trainer, *options, flags=flags, output=bench.folder / "evaluated", **more)


def test_eval_only_repeats_the_test(bench, source):
    run = evaluate(bench, source)
    for key in ("accuracy", "macro_f1", "hyper_parameters", "tuned_on"):
        assert run.results[key] == source.results[key]
    assert run.results["trained_on"] == "Digits"
    assert coop_accuracy(run.log, "=> result") == pytest.approx(run.results["accuracy"], abs=0.05)


def test_eval_only_on_another_dataset_of_the_same_classes(bench, source):
    bench.copy_data()
    make_dataset(bench.data, "mnist5k", counts={"train": 1, "val": 1, "test": 7}, seed=5)
    run = evaluate(bench, source, "DATASET.VALIDATION", "few", dataset="mnist5k")
    assert run.status == 0, run.err
    results = run.results
    assert (results["dataset"], results["n_test"], results["trained_on"]) == ("MNIST5k", 28, "Digits")
    assert results["hyper_parameters"] == source.results["hyper_parameters"]
    assert results["tuned_on"] == "val (full)"  # where the setting was found
    assert results["images_encoded"] == {"clip": 28, "adapter": 28}


def test_eval_only_needs_no_state_for_zero_shot(bench, finished):
    run = bench.main("ZeroshotCLIP", flags=("--eval-only",))
    assert run.results["accuracy"] == finished("ZeroshotCLIP").results["accuracy"]


def test_eval_only_refuses_other_classes(bench, source):
    bench.copy_data()
    make_dataset(bench.data, "mnist5k", classnames=("a", "b", "c", "d"))
    evaluate(bench, source, dataset="mnist5k").assert_refused("--model-dir", "other classes", "MNIST5k")


def test_eval_only_refuses_another_methods_state(bench, source, assets):
    for trainer, options in (("TipAdapter", ()), ("TipXPP", ("IMO.ADAPTER", assets.fresh_adapter))):
        run = evaluate(bench, source, *options, trainer=trainer)
        run.assert_refused("--model-dir", "another trainer, backbone, adapter or correction")


def test_inductive_phi_scores_an_image_alone(bench):
    bench.copy_data()
    smaller = make_dataset(bench.data, "mnist5k")  # the same images, fewer to test
    split = json.loads((smaller / "split.json").read_text())
    split["test"] = split["test"][8:13]
    (smaller / "split.json").write_text(json.dumps(split))
    for path in (smaller / "images").rglob("*.png"):
        shutil.copy(bench.data / "digits/images" / path.relative_to(smaller / "images"), path)
    gaps = {}
    for phi in ("paper", "inductive"):
        output = bench.folder / phi
        whole = bench.trainer("TipXPP", "IMO.PHI", phi, output=output)
        gamma = whole.method.settings["gamma"]
        flags = ("--eval-only", "--model-dir", output)
        part = bench.trainer("TipXPP", "IMO.PHI", phi, dataset="mnist5k", flags=flags, output=output / "part")
        assert gamma > 0  # or phi would not matter
        gaps[phi] = (scored(whole, "test")[8:13] - scored(part, "test")).abs().max().item()
    assert gaps["inductive"] < 1e-4
    assert gaps["paper"] > 1e-2


# Validation, corruption, other options.


def test_validation_full_or_few(bench):
    for validation, images in (("full", 12), ("few", 8)):
        store = bench.folder / validation
        options = ("DATASET.VALIDATION", validation, "IMO.STORE", store, "TEST.NO_TEST", True)
        trainer = bench.trainer("TipAdapter", *options, shots=2, output=store)
        assert trainer.views.encoded == {"clip": 4 * 2 * 10 + images, "adapter": 0}
        assert len(trainer.data.labels("val")) == images
        assert str(trainer.protocol) == f"val ({validation})"


def test_one_shot_with_one_validation_image_a_class(bench):
    run = bench.main("TipXPP", "DATASET.VALIDATION", "few", "IMO.STORE", bench.folder / "store", shots=1)
    assert run.status == 0, run.err
    assert run.results["tuned_on"] == "val (few)"


def test_all_training_images(bench):
    run = bench.main("TipAdapter", "IMO.STORE", bench.folder / "store", shots=-1)
    assert len(run.state()["keys"]) == 24


def test_fewer_images_than_shots(bench):
    split = bench.copy_data() / "split.json"
    content = json.loads(split.read_text())
    content["train"] = [entry for entry in content["train"] if entry[1] != 2 or entry[0].endswith(("_0.png", "_1.png"))]
    split.write_text(json.dumps(content))
    run = bench.main("TipXPP", shots=4)
    assert run.status == 0, run.err
    assert run.state()["labels"].tolist() == [0] * 4 + [1] * 4 + [2] * 2 + [3] * 4
    assert "Classes with fewer than 4 images, all taken: digit two (2)" in run.log


CORRUPTIONS = ("gaussian_noise", "gaussian_blur", "inverse", "affine", "occlusion", "colour")


def test_corrupted_targets(bench, source):
    """Their images are beside the features, the same whenever they are made, and none are among the dataset's."""
    digits, bench.store = bench.copy_data(), bench.folder / "store"
    before = sorted(digits.rglob("*"))
    found = []
    for _ in range(2):
        for name in CORRUPTIONS:
            run = evaluate(bench, source, "DATASET.CORRUPTION", f"{name}-5")
            assert (run.results["dataset"], run.results["n_test"]) == (f"Digits-{name}-5", 20)
            assert run.results["data"]["test"] == source.results["data"]["test"]
        copies = bench.store / "corrupted"
        found.append({path.relative_to(copies): path.read_bytes() for path in copies.rglob("*.png")})
        shutil.rmtree(copies)
    assert found[0] == found[1] and len(found[0]) == 20 * len(CORRUPTIONS)
    assert sorted(digits.rglob("*")) == before


def test_flags_over_files_and_pairs_over_flags(bench):
    argv = bench.argv("TipAdapter", "SEED", 5, "DATALOADER.TEST.BATCH_SIZE", 3, flags=("--backbone", "other"))
    cfg = train.setup_cfg(train.parser().parse_args(argv))
    assert cfg.DATALOADER.NUM_WORKERS == 0  # the trainer's file
    assert cfg.DATASET.NAME == "Digits"  # the dataset's
    assert cfg.TRAINER.NAME == "TipAdapter"  # a flag
    assert (cfg.SEED, cfg.DATALOADER.TEST.BATCH_SIZE) == (5, 3)  # pairs
    assert Path(cfg.MODEL.BACKBONE.NAME) == bench.assets.backbone
    assert cfg.is_frozen()


# The trained adapter.


def test_trained_adapter_serves_the_corrected_trainers(bench, finished, assets):
    trained = finished("IMOAdapter")
    path = trained.folder / "adapter.safetensors"
    tensors = load_file(path)
    assert len(tensors) == 2 * 4
    assert all(tensors[f"resblocks.{i}.up.weight"].abs().sum() > 0 for i in range(2))
    assert trained.results["training"]["overlap"].keys() == {"none", "adapter"}
    run = bench.main("TipXPP", "IMO.ADAPTER", path)
    assert run.status == 0, run.err
    assert run.results["adapter_sha256"] == sha256(path)
    assert not torch.equal(run.state()["keys"], finished("TipX").state()["keys"])
    assert torch.equal(run.state()["probabilities"], finished("TipX").state()["probabilities"])  # KL stays on CLIP's


def test_adapter_training_is_a_function_of_the_seed(bench, finished):
    options = ("DATALOADER.TRAIN_X.BATCH_SIZE", 5, "OPTIM.MAX_EPOCH", 2)
    runs = [
        bench.main("IMOAdapter", *options, "DATALOADER.NUM_WORKERS", workers, seed=seed, output=bench.folder / name)
        for name, workers, seed in (("a", 0, 1), ("b", 2, 1), ("c", 0, 2))
    ]
    one, same, other = (load_file(run.folder / "adapter.safetensors") for run in runs)
    assert same_state(one, same)
    assert not same_state(one, other)
    assert runs[0].log.count("epoch [2/2]") == 3  # 16 images in batches of 5, the last one is dropped


def test_adapter_run_that_lost_its_end_is_completed(bench, finished):
    folder = bench.folder / "again"
    shutil.copytree(finished("IMOAdapter").folder, folder)
    before = load_file(folder / "adapter.safetensors")
    for name in ("results.json", "adapter.safetensors"):
        (folder / name).unlink()
    run = bench.main("IMOAdapter", output=folder)
    assert run.status == 0, run.err
    assert same_state(load_file(folder / "adapter.safetensors"), before)
    assert run.results["accuracy"] == finished("IMOAdapter").results["accuracy"]


def test_settings_are_those_of_the_trainer(bench):
    """Options of other trainers do not make a finished run one of other settings; its own and unknown nodes do."""

    def settings(trainer, *options):
        return settings_of(train.setup_cfg(train.parser().parse_args(bench.argv(trainer, *options))))

    for trainer in ("TipX", "TipXPP", "TaskRes"):
        assert settings(trainer, "TRAINER.COOP.N_CTX", 3) == settings(trainer)
        assert settings(trainer, "IMO.PASSES", 3) != settings(trainer)
    assert settings("IMOAdapter", "TRAINER.IMOADAPTER.BOTTLENECK", 3) != settings("IMOAdapter")
    assert settings("CoOp", "TRAINER.COOP.N_CTX", 3) != settings("CoOp")
    for option in ("TRAINER.TIPADAPTERF.ALPHA", 3.0), ("IMO.PASSES", 3):
        assert settings("TipAdapterF", *option) != settings("TipAdapterF") != settings("TipAdapterFPP")
    assert settings("TipAdapterFPP", "TRAINER.TIPADAPTERF.ALPHA", 3.0) != settings("TipAdapterFPP")
