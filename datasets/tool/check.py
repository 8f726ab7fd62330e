"""What of a dataset is there, what is missing, and where to get it."""

import contextlib
import io
import os
from pathlib import Path

from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY

from imo import datasets
from imo.datasets.base.annotations import mirrored
from imo.datasets.base.split_dataset import SplitDataset
from imo.errors import InputError

CONFIGS = Path(datasets.__file__).parent.parent / "configs" / "datasets"  # there in a checkout


def published():
    """Names of the datasets that have to be got from somewhere; the others are made on first use, or one's own."""
    return [name for name, kind in declared().items() if kind.sources]


def declared():
    """The registered datasets that are built on `SplitDataset`, by name; a CoOp checkout registers others too."""
    kinds = {name: DATASET_REGISTRY.get(name) for name in DATASET_REGISTRY.registered_names()}
    return {name: kind for name, kind in kinds.items() if issubclass(kind, SplitDataset)}


def config(name, root):
    """The config that builds a dataset with all of its data. `name` is as registered, or a file of configs/datasets."""
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    yaml = CONFIGS / f"{name}.yaml"
    if yaml.is_file():
        cfg.merge_from_file(str(yaml))
    elif name in DATASET_REGISTRY.registered_names():
        cfg.DATASET.NAME = name
    else:
        known = ", ".join(sorted(DATASET_REGISTRY.registered_names()))
        raise InputError(f"NAME: unknown dataset '{name}'; known: {known}")
    cfg.DATASET.ROOT, cfg.DATASET.NUM_SHOTS, cfg.DATASET.VALIDATION = str(root), -1, "paper"
    cfg.SEED = max(cfg.SEED, 1)
    return cfg


def check(name, root):
    """(whether a dataset is ready, lines that say so), for a dataset as a run would read it; nothing is made."""
    cfg = config(name, root)
    kind = DATASET_REGISTRY.get(cfg.DATASET.NAME)
    said = io.StringIO()
    folder = os.path.join(os.path.abspath(root), kind.dataset_dir)
    notes = [f"{path}/: {why}" for path, why in kind.unfit.items() if os.path.exists(os.path.join(folder, path))]
    try:
        with contextlib.redirect_stdout(said):
            dataset = type(name, (kind,), {"prepare": lambda self: None})(cfg)
    except InputError as error:
        if not kind.sources and not os.path.isdir(folder):
            return False, [f"absent   {name}: is made on first use, or by 'prepare {name}'"]
        missing = [f"{path}: {kind.sources[path]}" for path in absent(kind, root)]
        return False, [f"MISSING  {name}: {error}", *(f"         {line}" for line in (*notes, *missing))]
    notes += [line for line in said.getvalue().splitlines() if "split computed" in line]
    notes += [
        f"{usual}/ is here as {other}/, accepted"
        for usual, other in kind.mirrors.items()
        if mirrored(os.path.join(folder, usual), folder, kind.mirrors) == os.path.join(folder, other)
    ]
    found, wanted = counts(dataset), kind.sizes and tuple(kind.sizes)
    fits = wanted is None or found == wanted
    verdict = "" if wanted is None else ", as published" if fits else f"; published: {words(wanted)}"
    return fits, [
        f"{'ready  ' if fits else 'DIFFERS'}  {name}: {words(found)}{verdict}",
        *(f"         {n}" for n in notes),
    ]


def absent(kind, root):
    """The declared files and folders of a dataset that are not there."""
    folder = os.path.join(os.path.abspath(root), kind.dataset_dir)
    paths = {name: mirrored(os.path.join(folder, name.rstrip("/")), folder, kind.mirrors) for name in kind.sources}
    return [name for name, path in paths.items() if not os.path.exists(path)]


def counts(dataset):
    """(classes, training, validation, test images), None for a part that the dataset has not."""
    train = None if dataset.test_only else len(dataset.train_x)
    val = len(dataset.val) if dataset.val and dataset.tuned_on != "test" else None
    return dataset.num_classes, train, val, len(dataset.test)


def words(numbers):
    """The same for people."""
    classes, *parts = numbers
    return f"{classes:,} classes, {' / '.join('-' if n is None else f'{n:,}' for n in parts)} images"
