"""What the datasets of a CoOp checkout do not say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dassl.data.datasets import DATASET_REGISTRY
from yacs.config import CfgNode

from imo.compat.plugins import PREFIX
from imo.model.templates import DEFAULT
from imo.protocol import Protocol


def templates_of(dataset: Any, name: str) -> Sequence[str]:
    """A dataset's prompts; where it has none, those of our dataset of the same name."""
    own = PREFIX + name
    if not hasattr(dataset, "templates") and own in DATASET_REGISTRY.registered_names():
        dataset = DATASET_REGISTRY.get(own)
    templates: Sequence[str] = getattr(dataset, "templates", [DEFAULT])
    return templates


def title_of(dataset: Any, cfg: CfgNode) -> str:
    """What results and messages call a dataset; where it does not say, the name that it is registered under."""
    title: str = getattr(dataset, "title", cfg.DATASET.NAME)
    return title


def protocol_of(dataset: Any) -> Protocol:
    """What a search on the dataset's validation images is tuned on; CoOp's ImageNet has its test images there."""
    if hasattr(dataset, "protocol"):
        found: Protocol = dataset.protocol
        return found
    tested = {item.impath for item in dataset.test}
    return Protocol("", "test" if any(item.impath in tested for item in dataset.val or ()) else "val")
