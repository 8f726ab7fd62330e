"""Methods as Dassl trainers."""

from dassl.engine import TRAINER_REGISTRY

from imo import trainers
from imo.trainers.base import METHODS
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.registry import corrected_name

trainers.register()


def test_every_method_is_a_trainer_of_its_name():
    for name, method in METHODS.items():
        kind = TRAINER_REGISTRY.get(name)
        assert issubclass(kind, ClipTrainer) and kind.method_class is method and kind.__doc__ == method.__doc__
        assert (kind.correction, kind.needs_shots, kind.training_free) == (
            method.correction, method.needs_shots, method.training_free,
        )  # fmt: skip
        assert kind.__module__ == method.__module__ and kind.__module__.startswith("imo.trainers.")
    assert {"IMOAdapter", "CoOp", "CoCoOp"} <= {*TRAINER_REGISTRY.registered_names()} - {*METHODS}


def test_corrected_variants_are_found_by_what_they_correct():
    assert corrected_name("TipX", "adapter") == "TipXPP"
    assert corrected_name("TipAdapterF", "adapter") == "TipAdapterFPP"
    assert corrected_name("TipX", "isoclip") is None
    assert corrected_name("TipXPP", "adapter") is None
    assert corrected_name("CoOp", "adapter") is None


def test_registering_again_changes_nothing():
    before = TRAINER_REGISTRY.registered_names()
    trainers.register()
    assert TRAINER_REGISTRY.registered_names() == before
