from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data import DatasetWrapper
from dassl.data.datasets import DatasetBase, Datum
from dassl.data.samplers import build_sampler
from dassl.data.transforms import AVAI_CHOICES, build_transform
from PIL import Image

LABELS = [2, 0, 2, 1, 0, 2, 1, 2, 0, 0]
POSITIONS = {2: [0, 2, 5, 7], 0: [1, 4, 8, 9], 1: [3, 6]}  # in order of first appearance


def positions(chosen, items):
    return [items.index(item) for item in chosen]


def test_fewshot_draws_class_by_class(make_items):
    items = make_items(LABELS)
    data = DatasetBase(train_x=items)
    random.seed(7)
    chosen = data.generate_fewshot_dataset(items, num_shots=2)
    random.seed(7)
    assert positions(chosen, items) == [p for group in POSITIONS.values() for p in random.sample(group, 2)]


def test_fewshot_of_classes_with_too_few_items(make_items):
    items = make_items(LABELS)
    data = DatasetBase(train_x=items)
    random.seed(7)
    as_is, repeated = (data.generate_fewshot_dataset(items, num_shots=3, repeat=repeat) for repeat in (False, True))
    random.seed(7)
    full = [random.sample(POSITIONS[label], 3) for label in (2, 0)]
    assert positions(as_is, items) == full[0] + full[1] + [3, 6]
    full = [random.sample(POSITIONS[label], 3) for label in (2, 0)]
    assert positions(repeated, items) == full[0] + full[1] + random.choices([3, 6], k=3)


def test_fewshot_of_several_sources_or_none_at_all(make_items, capsys):
    items = make_items(LABELS)
    data = DatasetBase(train_x=items)
    assert data.generate_fewshot_dataset(items) is items
    assert data.generate_fewshot_dataset(items, items[:3]) == (items, items[:3])
    assert capsys.readouterr().out == ""
    first, second = data.generate_fewshot_dataset(items, items[:3], num_shots=1)
    assert (len(first), len(second)) == (3, 2)
    assert capsys.readouterr().out == "Creating a 1-shot dataset\n"


def test_classes(make_items):
    data = DatasetBase(train_x=make_items([3, 0, 3]))
    assert data.num_classes == 4
    assert data.lab2cname == {0: "class_0", 3: "class_3"}
    assert data.classnames == ["class_0", "class_3"]


def test_datum(make_items, tmp_path):
    (item,) = make_items([1])
    again = pickle.loads(pickle.dumps(item))
    assert (again.impath, again.label, again.domain, again.classname) == (item.impath, 1, 0, "class_1")
    assert type(item).__module__ == "dassl.data.datasets.base_dataset"
    assert set(vars(item)) == {"_impath", "_label", "_domain", "_classname"}
    with pytest.raises(AttributeError):
        item.label = 2
    with pytest.warns(UserWarning), pytest.raises(FileNotFoundError, match=r"absent\.png"):
        Datum(impath=str(tmp_path / "absent.png"))


def test_class_sampler(make_items):
    items = make_items(LABELS)
    random.seed(0)
    sampler = build_sampler("RandomClassSampler", data_source=items, batch_size=4, n_ins=2)
    drawn = list(sampler)
    assert drawn and len(drawn) % 4 == 0 and len(set(drawn)) == len(drawn)
    for start in range(0, len(drawn), 4):
        labels = [LABELS[position] for position in drawn[start : start + 4]]
        assert labels[0] == labels[1] != labels[2] == labels[3]
    # Three of class 1 where there are but two: filled up by repeats.
    filled = list(build_sampler("RandomClassSampler", data_source=items, batch_size=9, n_ins=3))
    assert sum(LABELS[p] == 1 for p in filled) == 3
    with pytest.raises(ValueError, match="SeqDomainSampler"):
        build_sampler("SeqDomainSampler", data_source=items)


def test_wrapper(make_items):
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.DATALOADER.K_TRANSFORMS, cfg.DATALOADER.RETURN_IMG0 = (4, 4), 2, True
    items = make_items([1])
    sample = DatasetWrapper(cfg, items, transform=[lambda image: 1, lambda image: 2], is_train=True)[0]
    assert (sample["img"], sample["img2"]) == ([1, 1], [2, 2])
    assert sample["img0"].shape == (3, 4, 4)
    assert (sample["label"], sample["index"], sample["impath"]) == (1, 0, items[0].impath)
    assert DatasetWrapper(cfg, items, transform=lambda image: 1)[0]["img"] == 1
    with pytest.raises(ValueError, match="2 times"):
        DatasetWrapper(cfg, items, is_train=True)


def test_transforms(capsys):
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.TRANSFORMS = (8, 8), ("random_resized_crop", "random_flip", "normalize")
    image = Image.fromarray(np.full((20, 30, 3), 51, dtype=np.uint8))
    for is_train in (True, False):
        tensor = build_transform(cfg, is_train=is_train)(image)
        assert tensor.shape == (3, 8, 8)
        assert tensor[0, 0, 0].item() == pytest.approx((0.2 - 0.485) / 0.229, abs=1e-5)
    assert capsys.readouterr().out.splitlines() == [
        "Building transform_train",
        "+ random resized crop (size=(8, 8), scale=(0.08, 1.0))",
        "+ random flip",
        "+ to torch tensor of range [0, 1]",
        "+ normalization (mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])",
        "Building transform_test",
        "+ resize the smaller edge to 8",
        "+ 8x8 center crop",
        "+ to torch tensor of range [0, 1]",
        "+ normalization (mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])",
    ]
    cfg.INPUT.NO_TRANSFORM = True
    assert build_transform(cfg) is None


@pytest.mark.parametrize("choice", AVAI_CHOICES)
def test_every_transform_runs(choice):
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.GB_K = (16, 16), 3
    tensor = build_transform(cfg, choices=[choice])(Image.effect_noise((16, 16), 60).convert("RGB"))
    assert tensor.shape == (3, 16, 16) and torch.isfinite(tensor).all()


def test_cutout_removes_a_square():
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.CUTOUT_LEN = (32, 32), 4
    np.random.seed(0)
    y, x = np.random.randint(32), np.random.randint(32)
    np.random.seed(0)
    tensor = build_transform(cfg, choices=["cutout"])(Image.new("RGB", (32, 32), (255, 255, 255)))
    expected = torch.ones(3, 32, 32)
    expected[:, max(y - 2, 0) : y + 2, max(x - 2, 0) : x + 2] = 0
    assert torch.equal(tensor, expected)


def test_policies_are_left_out():
    with pytest.raises(ValueError, match=r"randaugment.*leaves out.*random_flip"):
        build_transform(get_cfg_default(), choices=["random_flip", "randaugment"])
