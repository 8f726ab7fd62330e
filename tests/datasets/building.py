"""Datasets built as a run builds them."""

from pathlib import Path

from imo import datasets  # first: it makes dassl importable

# isort: split
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY

ROOT = Path(__file__).resolve().parents[2]


def dataset_class(yaml):
    """The class of a dataset, by the name of its config."""
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    cfg.merge_from_file(str(ROOT / f"configs/datasets/{yaml}.yaml"))
    return DATASET_REGISTRY.get(cfg.DATASET.NAME)


def build(yaml, root, **options):
    """A dataset, made as a run makes it. SEED and options of DATASET by name."""
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    cfg.merge_from_file(str(ROOT / f"configs/datasets/{yaml}.yaml"))
    cfg.SEED = options.pop("SEED", 1)
    cfg.DATASET.ROOT = str(root)
    for name, value in options.items():
        node, _, key = f"DATASET.{name}".rpartition(".")
        cfg.merge_from_list([f"{node}.{key}", value])
    return DATASET_REGISTRY.get(cfg.DATASET.NAME)(cfg)
