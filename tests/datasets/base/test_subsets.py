import random
from collections import Counter

import pytest
from building import LABELS, Small, below, build, config, names
from dassl.data.datasets import DatasetBase
from layouts import WNIDS

from imo.datasets.base import Item
from imo.datasets.base.subsets import few_shot, subsample_classes
from imo.protocol import Protocol


@pytest.fixture
def items():
    return [Item(f"{i}.png", label, f"class{label}") for i, label in enumerate(LABELS)]


@pytest.mark.parametrize("shots", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_few_shots_are_dassl_s(items, shots, seed):
    """The global generator, seeded; then a sample of each class, classes in order of appearance."""
    chosen = few_shot(items, shots, random.Random(seed))
    random.seed(seed)
    expected = []
    for label in (2, 0, 1, 3):
        members = [item for item in items if item.label == label]
        expected += random.sample(members, shots) if len(members) >= shots else members
    assert [id(item) for item in chosen] == [id(item) for item in expected]
    random.seed(seed)
    dassl = DatasetBase(train_x=items).generate_fewshot_dataset(items, num_shots=shots)
    assert [id(item) for item in chosen] == [id(item) for item in dassl]


def test_few_shots_leave_the_global_generator_alone(items):
    random.seed(5)
    state = random.getstate()
    few_shot(items, 2, random.Random(5))
    assert random.getstate() == state


def test_classes_with_too_few_images_are_named(items, capsys):
    few_shot(items, 3, random.Random(0))
    assert "class1 (2)" in capsys.readouterr().out
    few_shot(items, 3, random.Random(0), quiet=True)
    assert capsys.readouterr().out == ""


# Subsets of a dataset.


def test_a_dataset_draws_its_shots_from_the_seed(small):
    by_seed = {seed: names(Small(config(small, NUM_SHOTS=2, SEED=seed)).train_x) for seed in (1, 2)}
    random.seed(1)
    members = {label: [f"{i}.png" for i, other in enumerate(LABELS) if other == label] for label in (2, 0, 1, 3)}
    assert by_seed[1] == [name for group in members.values() for name in random.sample(group, 2)]
    assert by_seed[1] != by_seed[2]


def test_validation_is_full_or_few(small):
    full, few = (Small(config(small, NUM_SHOTS=16, VALIDATION=option)) for option in ("full", "few"))
    assert len(full.val) == 15
    assert Counter(item.label for item in few.val) == {0: 4, 1: 2, 2: 4, 3: 3}
    assert (str(full.protocol), str(few.protocol)) == ("val (full)", "val (few)")
    assert names(full.train_x) == names(few.train_x)
    few = Small(config(small, NUM_SHOTS=1, VALIDATION="few"))
    assert Counter(item.label for item in few.val) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert len(few.test) == 4


@pytest.mark.parametrize("shots", [0, -1])
def test_without_shots_all_images_are_taken(small, shots):
    data = Small(config(small, NUM_SHOTS=shots))
    assert names(data.train_x) == [f"{i}.png" for i in range(15)]
    assert (data.num_classes, data.classnames) == (4, ["class0", "class1", "class2", "class3"])


# Base and new classes.


@pytest.mark.parametrize("labels, base, new", [([0, 1, 2, 3], [0, 1], [2, 3]), ([4, 2, 0, 1, 3], [0, 1, 2], [3, 4])])
def test_base_and_new_classes_are_the_halves(labels, base, new):
    part = [Item("any.png", label, f"class{label}") for label in labels]
    for which, kept in (("base", base), ("new", new)):
        for chosen in subsample_classes(part, part, part, which):
            expected = [(kept.index(label), f"class{label}") for label in labels if label in kept]
            assert [(item.label, item.classname) for item in chosen] == expected
    assert subsample_classes(part, part[:1], part[:2], "all") == (part, part[:1], part[:2])


def test_a_dataset_of_new_classes_counts_from_0(small):
    data = Small(config(small, NUM_SHOTS=1, SUBSAMPLE_CLASSES="new"))
    assert data.classnames == ["class2", "class3"]
    assert [(item.label, item.classname) for item in data.test] == [(0, "class2"), (1, "class3")]


# Validation.


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("shots, protocol, per_class", [(1, "full", 10), (4, "full", 10), (2, "few", 2), (8, "few", 4)])
def test_held_out_images_are_never_support(net, seed, shots, protocol, per_class):
    dataset = build("imagenet", net, NUM_SHOTS=shots, SEED=seed, VALIDATION=protocol)
    support, val = ({item.impath for item in items} for items in (dataset.train_x, dataset.val))
    assert not support & val
    assert [sum(item.label == label for item in dataset.val) for label in range(4)] == [per_class] * 4
    assert all("/train/" in path for path in val)
    assert dataset.protocol == Protocol(protocol, "held-out train")


def test_held_out_images_are_the_first_of_a_fixed_order(net):
    for seed in (1, 2):
        dataset = build("imagenet", net, NUM_SHOTS=2, SEED=seed)
        support = below(dataset.train_x, net / "imagenet/images/train")
        expected = []
        for wnid in WNIDS:
            members = sorted(f"{wnid}/{wnid}_{i}.JPEG" for i in range(14))
            order = random.Random(0).sample(members, 14)
            expected += [name for name in order if name not in support][:10]
        assert below(dataset.val, net / "imagenet/images/train") == expected


def test_paper_tunes_imagenet_on_its_test_set(net):
    dataset = build("imagenet", net, NUM_SHOTS=1, VALIDATION="paper")
    assert [item.impath for item in dataset.val] == [item.impath for item in dataset.test]
    assert dataset.protocol == Protocol("paper", "test")


def test_paper_is_full_where_there_is_a_validation_split(dtd_root):
    paper, full = (build("dtd", dtd_root, NUM_SHOTS=1, VALIDATION=option) for option in ("paper", "full"))
    assert names(paper.val) == names(full.val)
    assert str(paper.protocol) == str(full.protocol) == "val (full)"


def test_all_data_of_imagenet_gives_up_a_tenth(net):
    dataset = build("imagenet", net, NUM_SHOTS=-1)
    assert (len(dataset.train_x), len(dataset.val)) == (48, 8)
    assert not {item.impath for item in dataset.train_x} & {item.impath for item in dataset.val}


def test_support_has_no_validation_images(dtd_root, net):
    for name, root in (("dtd", dtd_root), ("imagenet", net)):
        alone, full = (build(name, root, NUM_SHOTS=2, VALIDATION=option) for option in ("support", "full"))
        assert alone.val == [] and len(full.val) > 0
        assert [item.impath for item in alone.train_x] == [item.impath for item in full.train_x]
        assert alone.protocol == Protocol("support", "support")


def test_what_was_tuned_on_stands_in_the_results(net, command):
    for protocol, words in (("paper", "test"), ("full", "held-out train")):
        run = command("TipAdapter", "imagenet", net, "DATASET.VALIDATION", protocol, output=protocol)
        assert run.results["tuned_on"] == words, run.err
