"""What the datasets of a CoOp checkout do not say of themselves."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.compat.plugins import PREFIX
from imo.protocol import Protocol

DEFAULT_TEMPLATE = "a photo of a {}."


def templates_of(dataset, name):
    """A dataset's prompts; those of ours of the same name where it has none, so that both checkouts agree."""
    own = PREFIX + name
    if not hasattr(dataset, "templates") and own in DATASET_REGISTRY.registered_names():
        dataset = DATASET_REGISTRY.get(own)
    return getattr(dataset, "templates", [DEFAULT_TEMPLATE])


def tuned_on(dataset):
    """What a search on the validation images is tuned on; CoOp's ImageNet has its test images there."""
    if hasattr(dataset, "tuned_on"):
        return dataset.tuned_on
    tested = {item.impath for item in dataset.test}
    return "test" if any(item.impath in tested for item in dataset.val or ()) else "val"


def protocol_of(dataset):
    """TEMPORARY"""
    words = tuned_on(dataset)
    validation = "few" if "few" in words else "full"
    return Protocol(validation if hasattr(dataset, "tuned_on") else "", words.partition(" (")[0])
