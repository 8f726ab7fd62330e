"""What a run's figures depend on, by name."""

import os
import types

import pytest

from imo.files import file_sha256
from imo.trainers.base import inputs


def settings(cfg):
    return inputs.fingerprint(inputs.settings_of(cfg))


@pytest.mark.parametrize(
    "key, value, counts",
    [
        ("IMO.PHI", "inductive", True),
        ("DATASET.NUM_SHOTS", 3, True),
        ("IMO.STORE", "elsewhere", False),
        ("IMO.CFG", "other", False),
        ("OUTPUT_DIR", "elsewhere", False),
        ("IMO.REDO", True, False),
        ("TRAINER.TASKRES.RESIDUAL_SCALE", 0.7, False),  # another trainer's
    ],
)
def test_the_digest_covers_what_results_depend_on(cfg, key, value, counts):
    before = settings(cfg)
    cfg.merge_from_list([key, value])
    assert (settings(cfg) != before) == counts


@pytest.mark.parametrize("trainer, counts", [("TipXPP", False), ("LinearProbe", False), ("TaskRes", True)])
def test_the_number_of_epochs_counts_where_there_are_epochs(cfg, trainer, counts):
    cfg.TRAINER.NAME, cfg.OPTIM.MAX_EPOCH = trainer, 1
    before = settings(cfg)
    cfg.OPTIM.MAX_EPOCH = 50
    assert (settings(cfg) != before) == counts


def test_the_digest_covers_the_content_of_shipped_weights(cfg, monkeypatch, tmp_path):
    """A run is not finished any more once another adapter ships, though no option changed."""
    before = settings(cfg)
    other = tmp_path / "adapter.safetensors"
    other.write_bytes(b"other weights")
    monkeypatch.setattr(inputs, "shipped_adapter", lambda name: other)
    after = settings(cfg)
    assert after != before
    cfg.IMO.ADAPTER = str(other)  # the same content under a name
    assert settings(cfg) == after
    cfg.TRAINER.NAME = "TipX"  # does not use it
    plain = settings(cfg)
    cfg.IMO.ADAPTER = ""
    assert settings(cfg) == plain
    monkeypatch.setattr(inputs, "shipped_backbone", lambda name: other)
    assert settings(cfg) != plain


def test_the_digest_covers_a_backbone_below_home(cfg, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    cfg.TRAINER.NAME, cfg.MODEL.BACKBONE.NAME = "TipX", "~/x.pt"
    (tmp_path / "x.pt").write_bytes(b"one")
    before = settings(cfg)
    (tmp_path / "x.pt").write_bytes(b"another")
    assert file_sha256(tmp_path / "x.pt") and settings(cfg) != before


def test_the_digest_covers_a_trainer_s_own_options(cfg):
    """Those below a node of the node, too."""
    cfg.TRAINER.NAME = "IMOAdapter"
    for name, value in (("SCALE", 0.7), ("DINO.MOMENTUM", 0.5)):
        before = settings(cfg)
        cfg.merge_from_list([f"TRAINER.IMOADAPTER.{name}", value])
        assert settings(cfg) != before


def test_the_digest_covers_the_version_of_the_code(cfg, monkeypatch):
    before = settings(cfg)
    monkeypatch.setattr(inputs, "NUMBERS_VERSION", inputs.NUMBERS_VERSION + 1)
    assert settings(cfg) != before


def test_differences():
    before = {"OPTIM.LR": "0.1", "SEED": "1", "test": "ab", "same": "x"}
    now = {"OPTIM.LR": "0.2", "SEED": "1", "test": "cd", "same": "x", "NEW": "1"}
    assert inputs.differences(before, before) == ""
    said = "NEW was not there, is 1; OPTIM.LR was 0.1, is 0.2; other test images or classes"
    assert inputs.differences(before, now) == said
    assert inputs.differences(before, now, lambda name: name == "OPTIM.LR") == "OPTIM.LR was 0.1, is 0.2"
    many = {f"o{i}": str(i) for i in range(9)}
    assert inputs.differences(many, {}).endswith("; o5 was 5, is not there; and 3 more")


@pytest.fixture
def dataset(tmp_path):
    """Three parts of two images each, and a function that makes it anew."""

    def made(**changes):
        facts = {"classname": "cat", "label": 0, "templates": ["a {}"], "test": 2, **changes}
        parts = {}
        for part, count in (("train_x", 2), ("val", 2), ("test", facts["test"])):
            paths = [tmp_path / f"{part}{i}.png" for i in range(count)]
            for path in paths:
                if not path.exists():
                    path.write_text("0")
            parts[part] = [
                types.SimpleNamespace(impath=str(path), label=facts["label"], classname=facts["classname"])
                for path in paths
            ]
        return types.SimpleNamespace(**parts, templates=facts["templates"])

    return made


PARTS = {"support", "val", "test"}


@pytest.mark.parametrize(
    "changes, which",
    [
        ({}, set()),
        ({"test": 1}, {"test", "files"}),
        ({"classname": "dog"}, PARTS),
        ({"label": 1}, PARTS),
        ({"templates": ["the {}"]}, {"prompts"}),
    ],
)
def test_data(cfg, dataset, tmp_path, changes, which):
    cfg.DATASET.ROOT = str(tmp_path)
    before, now = inputs.data_of(dataset(), cfg), inputs.data_of(dataset(**changes), cfg)
    assert before.keys() == now.keys() == {*PARTS, "files", "prompts"}
    assert {name for name in before if before[name] != now[name]} == which


@pytest.mark.parametrize("name", ("train_x0", "val1", "test0"))
def test_images_that_change_under_their_names(cfg, dataset, tmp_path, name):
    """As the feature store does, by size or by time of change."""
    cfg.DATASET.ROOT, path = str(tmp_path), tmp_path / f"{name}.png"
    before = inputs.data_of(dataset(), cfg)
    os.utime(path, ns=(1, 1))
    later = inputs.data_of(dataset(), cfg)
    path.write_text("longer")
    os.utime(path, ns=(1, 1))
    last = inputs.data_of(dataset(), cfg)
    assert len({before["files"], later["files"], last["files"]}) == 3
    assert {part: before[part] for part in PARTS} == {part: last[part] for part in PARTS}


def test_data_elsewhere_are_the_same(cfg, dataset, tmp_path):
    made = dataset()
    cfg.DATASET.ROOT = str(tmp_path)
    before = inputs.data_of(made, cfg)
    cfg.DATASET.ROOT = f"{tmp_path}/."
    assert inputs.data_of(made, cfg) == before


def test_data_outside_of_the_root_are_told_by_where_they_are(cfg, dataset, tmp_path):
    """By a path from the root, they would be other images from another root."""
    made = dataset()
    (tmp_path / "a/b").mkdir(parents=True)
    found = []
    for root in ("a", "a/b"):
        cfg.DATASET.ROOT = str(tmp_path / root)
        found.append(inputs.data_of(made, cfg))
    assert found[0] == found[1]


def test_corrupted_images_are_told_by_what_they_were_made_from(cfg, dataset, tmp_path):
    cfg.DATASET.ROOT, made = str(tmp_path), dataset()
    before, originals = inputs.data_of(made, cfg), {}
    for i, item in enumerate(made.test):
        copy = tmp_path / f"store/{i}.png"
        copy.parent.mkdir(exist_ok=True)
        copy.write_text("corrupted")
        originals[str(copy)], item.impath = item.impath, str(copy)
    assert inputs.data_of(made, cfg)["test"] != before["test"]
    made.originals = originals
    assert inputs.data_of(made, cfg) == before
