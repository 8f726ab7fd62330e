"""Our plug-ins in another project's registries, and its datasets under our trainers."""

from types import ModuleType, SimpleNamespace

import pytest
from dassl.utils import Registry

from imo.compat.plugins import beside
from imo.protocol import Protocol
from imo.trainers.base import foreign


def thing(name, **attributes):
    return type(name, (), attributes)


def test_a_taken_name_stays_its_owner_s():
    module, registry = ModuleType("engine"), Registry("TRAINER")
    module.TRAINER_REGISTRY = registry
    theirs, ours, other = thing("CoOp"), thing("CoOp", note="ours"), thing("TipX")
    registry.register(theirs)
    with beside(module, "TRAINER_REGISTRY"):
        assert module.TRAINER_REGISTRY.register()(ours) is ours
        module.TRAINER_REGISTRY.register(other)
        with pytest.raises(KeyError):  # two of ours under one name are a mistake
            module.TRAINER_REGISTRY.register(thing("TipX"))
    assert module.TRAINER_REGISTRY is registry
    assert registry.registered_names() == ["CoOp", "imo.CoOp", "TipX"]
    assert registry.get("CoOp") is theirs
    assert registry.get("TipX") is other
    assert registry.get("imo.CoOp").note == "ours" and registry.get("imo.CoOp").__name__ == "imo.CoOp"


def test_prompts_are_those_of_our_dataset_of_the_name(monkeypatch):
    registry = Registry("DATASET")
    registry.register(thing("imo.OxfordPets", templates=("a pet: {}.",)))
    monkeypatch.setattr(foreign, "DATASET_REGISTRY", registry)
    assert foreign.templates_of(thing("OxfordPets")(), "OxfordPets") == ("a pet: {}.",)
    assert foreign.templates_of(thing("OxfordPets", templates=["{}"])(), "OxfordPets") == ["{}"]
    assert foreign.templates_of(thing("Unheard")(), "Unheard") == ["a photo of a {}."]


def test_validation_images_that_are_test_images_are_called_so():
    a, b = SimpleNamespace(impath="a"), SimpleNamespace(impath="b")
    assert foreign.protocol_of(SimpleNamespace(val=[a], test=[b])) == Protocol("", "val")
    assert foreign.protocol_of(SimpleNamespace(val=[a], test=[b, a])) == Protocol("", "test")
    assert foreign.protocol_of(SimpleNamespace(val=None, test=[b])) == Protocol("", "val")
    own = Protocol("full", "held-out train")
    assert foreign.protocol_of(SimpleNamespace(val=[a], test=[a], protocol=own)) == own
