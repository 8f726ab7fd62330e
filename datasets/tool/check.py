"""`imo datasets check`: what of a dataset is there, what is missing, and where to get it."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY
from yacs.config import CfgNode

from imo import datasets
from imo.datasets.base import Sizes, SplitDataset
from imo.datasets.base.annotations import found_at
from imo.datasets.base.split_dataset import dataset_folder
from imo.errors import InputError

CONFIGS = Path(datasets.__file__).parent.parent / "configs" / "datasets"  # there in a checkout


def published() -> list[str]:
    """Names of the datasets whose data must be downloaded. The others are made on first use, or are one's own."""
    return [name for name, kind in declared().items() if kind.sources]


def declared() -> dict[str, type[SplitDataset]]:
    """{name: class} of the registered datasets that are built on `SplitDataset`; those of a CoOp checkout are not."""
    kinds = {name: DATASET_REGISTRY.get(name) for name in DATASET_REGISTRY.registered_names()}
    return {name: kind for name, kind in kinds.items() if issubclass(kind, SplitDataset)}


def config(name: str, root: str | Path) -> CfgNode:
    """The config that builds a dataset with all of its images.

    Args:
        name: as registered, or a file of configs/datasets without its suffix.
        root: the data root.

    Raises:
        InputError: no such dataset.
    """
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    yaml = CONFIGS / f"{name}.yaml"
    if yaml.is_file():
        cfg.merge_from_file(str(yaml))
        cfg.DATASET.TITLE = name
    elif name in DATASET_REGISTRY.registered_names():
        cfg.DATASET.NAME = name
    else:
        known = ", ".join(sorted(DATASET_REGISTRY.registered_names()))
        raise InputError(f"NAME: unknown dataset '{name}'; known: {known}")
    cfg.DATASET.ROOT, cfg.DATASET.NUM_SHOTS, cfg.DATASET.VALIDATION = str(root), -1, "paper"
    cfg.DATASET.CORRUPTION = cfg.OUTPUT_DIR = ""  # nothing is written
    cfg.SEED = max(cfg.SEED, 1)
    return cfg


def check(name: str, root: str | Path) -> tuple[bool, list[str]]:
    """Build a dataset as a run would, but make nothing, and compare it with its published sizes.

    Returns:
        Whether it is ready, and the lines to print.
    """
    cfg = config(name, root)
    kind = DATASET_REGISTRY.get(cfg.DATASET.NAME)
    said = io.StringIO()
    folder = dataset_folder(kind, os.path.abspath(root))
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
        f"{name} is here as {os.path.relpath(path, folder)}{'/' if name.endswith('/') else ''}, accepted"
        for name, path in places(kind, root).items()
        if os.path.relpath(path, folder) != name.rstrip("/")
    ]
    found, wanted = counts(dataset), kind.sizes
    fits = wanted is None or found == wanted
    verdict = "" if wanted is None else ", as published" if fits else f"; published: {words(wanted)}"
    return fits, [
        f"{'ready  ' if fits else 'DIFFERS'}  {name}: {words(found)}{verdict}",
        *(f"         {n}" for n in notes),
    ]


def absent(kind: type[SplitDataset], root: str | Path) -> list[str]:
    """The files and folders in a dataset's `sources` that are not on disk."""
    return [name for name, path in places(kind, root).items() if not os.path.exists(path)]


def places(kind: type[SplitDataset], root: str | Path) -> dict[str, str]:
    """{file or folder in a dataset's `sources`: where it is, or should be}."""
    folder = dataset_folder(kind, os.path.abspath(root))
    return {name: found_at(os.path.join(folder, name.rstrip("/")), folder, kind.mirrors) for name in kind.sources}


def counts(dataset: SplitDataset) -> Sizes:
    """The sizes of a dataset that was built with all of its images."""
    train = None if dataset.test_only else len(dataset.train_x)
    val = len(dataset.val) if dataset.val and dataset.protocol.images != "test" else None
    return Sizes(dataset.num_classes, train, val, len(dataset.test or ()))


def words(sizes: Sizes) -> str:
    """Sizes in words, "-" for a part that the dataset does not have."""
    classes, *parts = sizes
    return f"{classes:,} classes, {' / '.join('-' if n is None else f'{n:,}' for n in parts)} images"
