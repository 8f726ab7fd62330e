"""Distribution shift: a cache built on ImageNet, tested on its variants, restricted to their classes."""

import argparse
import json
import os
import subprocess
import sys

import pytest
import torch
from building import ROOT
from clip.model import CLIP
from dassl.data.transforms import build_transform
from layouts import WNIDS, imagenet, imagenet_a, imagenet_r, imagenet_sketch, imagenetv2, variant, write

import imo
from imo.datasets.base.corruptions import CORRUPTIONS
from imo.images import open_image
from imo.workbench import cli, train
from imo.workbench.commands import compare
from imo.workbench.plan import dataset_options

TARGETS = {"imagenetv2": [0, 1, 2, 3], "imagenet_sketch": [0, 1, 2, 3], "imagenet_a": [1, 3], "imagenet_r": [0, 2, 3]}


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """A data root with ImageNet and its four variants."""
    root = tmp_path_factory.mktemp("family")
    for make in (imagenet, imagenetv2, imagenet_sketch, imagenet_a, imagenet_r):
        make(root)
    return root


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    """The file of a random CLIP; to `glyph`, ImageNet's class names are all one, and KL is nothing but rounding."""
    path = tmp_path_factory.mktemp("backbone") / "tiny.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(CLIP(32, 24, 1, 64, 8, 77, 49408, 64, 1, 1).state_dict(), path)
    return path


@pytest.fixture
def adapter(backbone, tmp_path):
    """Random adapters for the tiny CLIP."""
    model, _ = imo.load_clip(str(backbone))
    imo.attach_adapters(model, bottleneck=8, scale=0.5)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "adapter" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    imo.save_adapters(model, tmp_path / "adapter.safetensors")
    return tmp_path / "adapter.safetensors"


def softmax(values):
    return [v.exp() / v.exp().sum() for v in values]


def reference(trainer, state, kept_classes, alpha, beta, gamma):
    """Logits of Tip-X(++) one image and one key at a time, over a list of the source's classes."""
    model, cfg, dataset = trainer.clip_model, trainer.cfg, trainer.dm.dataset
    transform = build_transform(cfg, is_train=False)
    images = torch.stack([transform(open_image(item.impath)) for item in dataset.test])
    plain, corrected = (imo.encode_images(model, images, corrected=c) for c in (False, trainer.correction == "adapter"))
    unit = torch.nn.functional.normalize
    weights = imo.text_classifier(model, [list(WNIDS.values())[c] for c in kept_classes], dataset.templates)
    keys = [
        (unit(key, dim=0), kept_classes.index(int(label)), probability)
        for key, label, probability in zip(state["keys"], state["labels"], state["probabilities"])
        if int(label) in kept_classes
    ]
    affinity = torch.stack([torch.stack([unit(f, dim=0) @ key for key, _, _ in keys]) for f in corrected])
    # Distributions over the kept classes: the source's, taken over all of its classes, give the log ratios.
    key_probs = softmax([p[kept_classes].log() for _, _, p in keys])
    query_probs = softmax([unit(f, dim=0) @ weights.T / 0.5 for f in plain])
    kl = torch.stack([torch.stack([(q * (q / k).log()).sum() for k in key_probs]) for q in query_probs])
    scaled = (kl - kl.min()) / (kl.max() - kl.min()) * (affinity.max() - affinity.min()) + affinity.min()
    logits = float(model.logit_scale.exp()) * torch.stack([unit(f, dim=0) @ weights.T for f in plain])
    for j, (_, label, _) in enumerate(keys):
        logits[:, label] += alpha * (-beta * (1 - affinity[:, j])).exp() - gamma * scaled[:, j]
    return logits


@pytest.mark.parametrize("name", ["TipX", "TipXPP"])
def test_a_cache_is_restricted_to_the_target_s_classes(name, family, command, adapter):
    options = ("IMO.ADAPTER", adapter)
    source = command(name, "imagenet", family, *options, shots=3)
    assert source.status == 0, source.err
    state = torch.load(source.folder / "cache/model-best.pth.tar", weights_only=False)["state_dict"]
    hyper = source.results["hyper_parameters"]
    for target, classes in TARGETS.items():
        screen = sys.stdout
        argv = command.argv(
            name, target, family, *options, flags=("--eval-only", "--model-dir", source.folder), output=target, shots=3
        )
        trainer = train.run(train.parser().parse_args(argv))
        sys.stdout = screen
        expected = reference(trainer, state, classes, **hyper)
        torch.testing.assert_close(trainer.method.logits(trainer.data.queries("test")), expected, atol=2e-3, rtol=1e-3)
        labels = torch.tensor([item.label for item in trainer.dm.dataset.test])
        results = json.loads((source.folder.parent / target / "results.json").read_text())
        assert results["accuracy"] == pytest.approx(100 * (expected.argmax(1) == labels).float().mean().item())
        assert (results["trained_on"], results["tuned_on"]) == ("ImageNet", "held-out train")
        assert results["hyper_parameters"] == hyper


def test_what_the_source_lacks_is_named(family, command, tmp_path):
    names = "".join(f"{wnid} {name}\n" for wnid, name in {**WNIDS, "n01530575": "brambling"}.items())
    variant(tmp_path / "data/imagenet-adversarial/imagenet-a", ("n01443537", "n01530575"))
    write(tmp_path / "data/imagenet-adversarial/classnames.txt", names)
    source = command("TipAdapter", "imagenet", family)
    flags = ("--eval-only", "--model-dir", source.folder)
    run = command("TipAdapter", "imagenet_a", tmp_path / "data", flags=flags, output="target")
    assert run.status == 2
    assert "lacks 1 classes of ImageNetA (brambling" in run.err


def test_a_state_of_other_classes_is_still_refused(layouts_root, family, command):
    source = command("TipAdapter", "imagenet", family)
    flags = ("--eval-only", "--model-dir", source.folder)
    run = command("TipAdapter", "imagenet_r", family, flags=flags, output="r")
    assert run.status == 0, run.err
    run = command("TipAdapter", "food101", layouts_root, flags=flags, output="food")
    assert run.status == 2 and "other classes" in run.err


def test_source_targets_and_average_stand_in_one_table(family, backbone, tmp_path, capsys):
    argv = ["--trainers", "ZeroshotCLIP", "TipAdapter", "--dataset", "imagenet", "--shots", "1", "--cfg", "glyph"]
    argv += ["--seeds", "1", "2", "--data", str(family), "--output", str(tmp_path), "--backbone", str(backbone)]
    assert cli.main(["compare", *argv, "--quiet", "--targets"]) == 0
    assert "average of targets" in capsys.readouterr().out
    means = {}
    for row in (tmp_path / "shift/imagenet/compare.csv").read_text().splitlines()[1:]:
        dataset, method, _, n, mean, _ = row.split(",")
        assert n == ("2" if method == "TipAdapter" else "1")
        means[dataset, method] = float(mean)
    variants = ("ImageNetV2", "ImageNetSketch", "ImageNetA", "ImageNetR")
    assert {dataset for dataset, _ in means} == {"ImageNet", *variants, "average of targets"}
    for method in ("ZeroshotCLIP", "TipAdapter"):
        average = sum(means[dataset, method] for dataset in variants) / 4
        assert means["average of targets", method] == pytest.approx(average, abs=1e-3)


@pytest.mark.parametrize(
    "given, source, targets",
    [
        (("TipXPP", "16"), "imagenet", []),
        (("TipXPP", "16", "digits"), "digits", []),
        (("TipX TipXPP", "4", "digits", "mnist5k", "inverse-5"), "digits", ["mnist5k", "inverse-5"]),
    ],
)
def test_the_script_s_arguments(given, source, targets, tmp_path):
    """An interpreter that has every module and prints its arguments stands in for Python."""
    stub = tmp_path / "python"
    stub.write_text('#!/bin/sh\n[ "$1" = - ] && exit 0\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "DATA": str(tmp_path)}
    run = subprocess.run(
        ["bash", str(ROOT / "scripts/shift.sh"), *given], env=env, capture_output=True, text=True, check=True
    )
    words = run.stdout.splitlines()
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    args = parser.parse_args(words[words.index("compare") + 1 :])
    assert (args.datasets, args.targets, args.trainers) == ([source], targets, given[0].split())
    default = list(TARGETS) if source == "imagenet" else ["mnist5k", *(f"{name}-3" for name in CORRUPTIONS)]
    assert default == dataset_options(source).SHIFTS
