"""Datasets built as a run builds them, and a small one."""

import json
from functools import reduce
from operator import getitem
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from yacs.config import CfgNode

from imo import datasets  # first: it makes dassl importable
from imo.datasets.base import SplitDataset
from imo.errors import InputError

# isort: split
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY

ROOT = Path(__file__).resolve().parents[2]
LABELS = [2, 0, 2, 1, 0, 2, 1, 2, 0, 0, 3, 3, 3, 2, 2]  # six images of class 2, two of class 1


def config(root, yaml="", **options):
    """The config of a run on a dataset, by the name of its YAML; by default, on `Small`.

    Further options are SEED and those of the node DATASET.
    """
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    if yaml:
        cfg.merge_from_file(str(ROOT / f"configs/datasets/{yaml}.yaml"))
    else:
        cfg.DATASET.NAME = "Small"
    cfg.IMO = CfgNode({"STORE": f"{root}/features"})
    cfg.SEED, cfg.DATASET.ROOT = options.pop("SEED", 1), str(root)
    for name, value in options.items():
        *nodes, key = name.split(".")
        reduce(getitem, nodes, cfg.DATASET)[key] = value
    return cfg


def dataset_class(yaml):
    """The class of a dataset, by the name of its config."""
    return DATASET_REGISTRY.get(config("", yaml).DATASET.NAME)


def build(yaml, root, **options):
    """A dataset, made as a run makes it."""
    return dataset_class(yaml)(config(root, yaml, **options))


def refused(yaml, root, *words):
    """Building the dataset ends in one line with these words."""
    with pytest.raises(InputError) as found:
        build(yaml, root)
    message = str(found.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert str(word) in message, message


def names(items):
    """The file names of images."""
    return [Path(item.impath).name for item in items]


def below(items, folder):
    """The paths of images below a folder."""
    return [Path(item.impath).relative_to(folder).as_posix() for item in items]


def rows(dataset):
    """{part: sorted (file name, class name)}."""
    return {
        part: sorted((Path(item.impath).name, item.classname) for item in items)
        for part, items in (("train", dataset.train_x), ("val", dataset.val), ("test", dataset.test))
    }


class Small(SplitDataset):
    """A dataset of tests, whose images `write_small` makes."""

    dataset_dir = "small"
    split_file = "split.json"


def write_small(root, split):
    """Images for a split of {part: [(name, label), ...]}; classes are called class<label>."""
    rng = np.random.default_rng(0)
    full = {}
    for part in ("train", "val", "test"):
        full[part] = [[name, label, f"class{label}"] for name, label in split.get(part, [])]
        for name, _, _ in full[part]:
            path = root / "small" / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    (root / "small" / "split.json").write_text(json.dumps(full))
