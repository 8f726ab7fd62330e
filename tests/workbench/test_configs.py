"""Config files: each loads, holds only what differs, and is found by its name, its path, and paths of before."""

import hashlib
import sys
from pathlib import Path

import pytest
from dassl.config import get_cfg_default
from dassl.engine import TRAINER_REGISTRY, TrainerX
from dassl.utils import Registry
from yacs.config import CfgNode

from imo.errors import InputError
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.workbench import configs, extend_cfg, places

FILES = sorted(places.CONFIGS.rglob("*.yaml"))


def default():
    """Dassl's defaults with our options, as a train.py makes them."""
    cfg = get_cfg_default()
    extend_cfg(cfg)
    return cfg


@pytest.fixture(autouse=True)
def corrected_variant(monkeypatch):
    default()
    monkeypatch.setattr(TRAINER_REGISTRY.get("TipAdapterFPP"), "base_name", "TipAdapterF", raising=False)


def ours():
    kinds = {name: TRAINER_REGISTRY.get(name) for name in TRAINER_REGISTRY.registered_names()}
    return {name: kind for name, kind in kinds.items() if issubclass(kind, ClipTrainer) and "." not in name}


@pytest.fixture
def write(tmp_path):
    """write(name, text): a file of tmp_path."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


# The files.


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(places.CONFIGS)))
def test_every_file_merges_and_every_setting_is_declared(file):
    cfg = default()
    cfg.merge_from_file(str(file))
    kind = file.relative_to(places.CONFIGS).parts[0]
    assert bool(cfg.DATASET.NAME) == (kind == "datasets")
    assert bool(cfg.MODEL.BACKBONE.NAME) == (kind != "datasets")


def test_no_two_files_are_the_same():
    assert len({hashlib.sha256(file.read_bytes()).digest() for file in FILES}) == len(FILES) > 50


def test_settings_of_inputs_stand_once():
    """Whoever repeats the pixels' mean, or trains nothing in a folder of its own, repeats a backbone's file."""
    for file in FILES:
        if "trainers" in file.parts:
            assert "PIXEL_MEAN" not in file.read_text() and "_BASE_: " in file.read_text(), file


@pytest.mark.parametrize(
    "path, settings",
    {
        "TipXPP/vit_b16": {"MODEL.BACKBONE.NAME": "ViT-B/16", "INPUT.SIZE": (224, 224), "OPTIM.MAX_EPOCH": 1},
        "TipX/glyph": {"INPUT.RRCROP_SCALE": (0.5, 1.0), "INPUT.TRANSFORMS": ("random_resized_crop", "normalize")},
        "TipAdapterFPP/glyph": {"OPTIM.NAME": "adamw", "OPTIM.MAX_EPOCH": 20, "TEST.FINAL_MODEL": "best_val"},
        "CoOp/rn50_ep50_ctxv1": {
            "MODEL.BACKBONE.NAME": "RN50",
            "OPTIM.MAX_EPOCH": 50,
            "OPTIM.WARMUP_CONS_LR": 1e-5,
            "TRAINER.COOP.CTX_INIT": "a photo of a",
            "INPUT.RRCROP_SCALE": (0.08, 1.0),
        },
        "CoCoOp/vit_b16_c16_ep10_batch1": {"TRAINER.COCOOP.N_CTX": 16, "DATALOADER.TRAIN_X.BATCH_SIZE": 1},
        "IMOAdapter/glyph_dino": {
            "OPTIM.LR": 0.008,
            "DATASET.NUM_SHOTS": 8,
            "DATALOADER.NUM_WORKERS": 1,
            "TRAINER.IMOADAPTER.SCHEDULE": "cosine",
            "INPUT.RRCROP_SCALE": (0.08, 1.0),
        },
    }.items(),
)
def test_what_a_file_holds_with_those_it_builds_on(path, settings):
    cfg = default()
    cfg.merge_from_file(f"configs/trainers/{path}.yaml")
    for name, value in settings.items():
        node = cfg
        for part in name.split("."):
            node = node[part]
        assert (tuple(node) if isinstance(value, tuple) else node) == value, name


def test_trainers_that_are_trained_have_settings_of_their_own():
    for name, kind in ours().items():
        for cfg in {"CoCoOp": ("glyph", "vit_b16_c4_ep10_batch1")}.get(name, ("glyph", "vit_b16")):
            shared = configs.trainer_config(name, cfg).parent.name == "backbones"
            assert shared == (kind.training_free or name in ("LinearProbe", "ZeroshotCLIP", "ZeroshotCLIP2")), name


# Reading.


def test_own_settings_go_over_those_of_the_base_wherever_it_lies(write):
    write("deep.yaml", "OPTIM: {LR: 1.0, MAX_EPOCH: 7}\nSEED: 3")
    write("a/middle.yml", "_BASE_: ../deep.yaml\nOPTIM: {LR: 2.0}")
    path = write("b/top.yaml", "_BASE_: ../a/middle.yml\nSEED: 5")
    cfg = default()
    cfg.merge_from_file(path)
    assert (cfg.OPTIM.LR, cfg.OPTIM.MAX_EPOCH, cfg.SEED, cfg.IMO.CFG) == (2.0, 7, 5, "top")
    assert "_BASE_" not in cfg


def test_a_base_that_is_not_there_may_be_ours(write):
    """A config of one's own, in a checkout that has no configs/backbones."""
    cfg = default()
    cfg.merge_from_file(write("configs/trainers/TipXPP/mine.yaml", "_BASE_: ../../backbones/rn50.yaml\nSEED: 5"))
    assert (cfg.MODEL.BACKBONE.NAME, cfg.SEED, cfg.IMO.CFG) == ("RN50", 5, "mine")


@pytest.mark.parametrize(
    "files, words",
    [
        ({}, ("no such file", "top.yaml", "configs/")),
        ({"top.yaml": "_BASE_: gone.yaml"}, ("no such file", "gone.yaml", "top.yaml")),
        ({"top.yaml": "_BASE_: top.yaml"}, ("top.yaml", "circle")),
        ({"top.yaml": "_BASE_: a/b.yaml", "a/b.yaml": "_BASE_: ../top.yaml"}, ("b.yaml", "circle")),
        ({"top.yaml": "_BASE_: [a.yaml, b.yaml]"}, ("_BASE_", "one file")),
        ({"top.yaml": "_BASE_: code.py", "code.py": "raise AssertionError"}, ("code.py", ".yaml")),
        ({"top.yaml": "DATASET: {NAME: ["}, ("top.yaml", "not YAML")),
        ({"top.yaml": "!!python/object/apply:os.getcwd []"}, ("top.yaml", "not YAML")),
        ({"top.yaml": "- SEED"}, ("top.yaml", "list")),
        ({"top.yaml": "_BASE_: a.yaml", "a.yaml": "NONESUCH: 1"}, ("a.yaml", "NONESUCH")),
        ({"top.yaml": "INPUT: {SIZE: big}"}, ("top.yaml", "INPUT.SIZE")),
        ({"top.yaml": "DATASET: 3"}, ("top.yaml", "DATASET")),
    ],
)
def test_what_cannot_be_read_is_one_line(write, tmp_path, files, words):
    for name, text in files.items():
        write(name, text)
    with pytest.raises(InputError) as refused:
        default().merge_from_file(str(tmp_path / "top.yaml"))
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_code_is_not_run(write):
    path = write("config.py", "raise AssertionError")
    with pytest.raises(InputError, match="code is not read"):
        default().merge_from_file(path)


def test_the_names_of_the_trainers_config_and_of_the_datasets_are_noted(write):
    cfg = default()
    assert (cfg.IMO.CFG, cfg.DATASET.TITLE) == ("", "")
    cfg.merge_from_file("configs/datasets/digits.yaml")
    assert (cfg.DATASET.NAME, cfg.IMO.CFG, cfg.DATASET.TITLE) == ("Digits", "", "digits")
    cfg.merge_from_file(write("anywhere/vit-full.yaml", "DATASET: {NUM_SHOTS: 3}"))
    cfg.merge_from_file("configs/datasets/dtd.yaml")
    assert (cfg.DATASET.NAME, cfg.IMO.CFG, cfg.DATASET.TITLE) == ("DescribableTextures", "vit-full", "dtd")
    write("base.yaml", "DATASET: {NAME: Folder}")
    cfg.merge_from_file(write("my birds.yaml", "_BASE_: base.yaml"))
    assert (cfg.DATASET.NAME, cfg.DATASET.TITLE) == ("Folder", "my birds")


def test_a_clone_reads_as_its_original():
    copy = default().clone()
    copy.merge_from_file("configs/trainers/TipXPP/glyph.yaml")
    assert (copy.MODEL.BACKBONE.NAME, copy.IMO.CFG) == ("glyph", "glyph")
    copy.merge_from_list(["OPTIM.LR", "0.5"])
    copy.freeze()
    assert copy.clone().is_frozen() and copy.OPTIM.LR == 0.5


# Finding.


def test_paths_of_before_lead_to_what_there_is():
    backbones, trainers = places.CONFIGS / "backbones", places.CONFIGS / "trainers"
    for path, file in {
        "configs/datasets/dtd.yaml": places.CONFIGS / "datasets/dtd.yaml",
        "configs/trainers/TaskRes/glyph.yaml": trainers / "TaskRes/glyph.yaml",
        "configs/trainers/TipXPP/glyph.yaml": backbones / "glyph.yaml",
        "/some/checkout/configs/trainers/TipXPP/rn50.yaml": backbones / "rn50.yaml",
        "/home/configs/CoOp/configs/trainers/TipXPP/glyph.yaml": backbones / "glyph.yaml",
        "configs/trainers/TipAdapterFPP/glyph.yaml": trainers / "TipAdapterF/glyph.yaml",
        "configs/trainers/TaskRes/rn50.yaml": None,  # would be trained with settings that are nobody's
        "configs/trainers/TipAdapterFPP/rn50.yaml": None,
        "configs/trainers/TipXXP/glyph.yaml": None,  # nobody's
        "configs/trainers/TipXPP/nonesuch.yaml": None,
        "trainers/TipXPP/glyph.yaml": None,
        "configs": None,
    }.items():
        assert configs.resolve(path) == file, path


def test_somebody_elses_trainer_does_not_get_our_settings(monkeypatch):
    registry = Registry("TRAINER")
    monkeypatch.setattr("dassl.engine.TRAINER_REGISTRY", registry)
    registry.register(type("MaPLe", (TrainerX,), {}))
    assert configs.resolve("configs/trainers/MaPLe/vit_b16.yaml") is None
    registry.register(type("imo.MaPLe", (ClipTrainer,), {}))  # ours, of the same name
    assert configs.resolve("configs/trainers/MaPLe/vit_b16.yaml") == places.CONFIGS / "backbones/vit_b16.yaml"


def test_before_dassl_is_loaded_any_trainer_may_be_ours(monkeypatch):
    monkeypatch.delitem(sys.modules, "dassl.engine")
    assert configs.resolve("configs/trainers/MaPLe/vit_b16.yaml") == places.CONFIGS / "backbones/vit_b16.yaml"
    assert configs.resolve("configs/trainers/MaPLe/nonesuch.yaml") is None


@pytest.mark.parametrize(
    "names, words",
    [
        (("TipXPP", "no"), "CFG: no no.yaml in configs/backbones; there are: glyph, rn101, rn50, vit_b16, vit_b32"),
        (("TaskRes", "rn50"), "CFG: no rn50.yaml in configs/trainers/TaskRes; there are: glyph, vit_b16"),
        (("TipAdapterFPP", "no"), "CFG: no no.yaml in configs/trainers/TipAdapterF; there are: glyph, vit_b16"),
        (("no",), "DATASET: no no.yaml in configs/datasets; there are: caltech101, colored_digits, "),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are(names, words):
    with pytest.raises(InputError) as refused:
        configs.trainer_config(*names) if len(names) == 2 else configs.dataset_config(*names)
    assert str(refused.value).startswith(words)


def test_names_lead_to_files():
    assert configs.dataset_config("dtd") == places.CONFIGS / "datasets/dtd.yaml"
    assert configs.trainer_config("TipX", "vit_b32") == places.CONFIGS / "backbones/vit_b32.yaml"


def test_another_projects_train_py_with_the_two_lines(monkeypatch, tmp_path):
    """What tests/checkout/train.py does to its config, away from our folders."""
    monkeypatch.chdir(tmp_path)
    cfg = get_cfg_default()
    extend_cfg(cfg)  # the second of the two lines
    cfg.TRAINER.PRIOR = type(get_cfg_default())({"SMOOTH": 1.0})
    for path in ("configs/datasets/caltech101.yaml", str(places.CONFIGS / Path("trainers/CoOp/vit_b16_ep50.yaml"))):
        cfg.merge_from_file(path)
    cfg.merge_from_list(["DATASET.NUM_SHOTS", "2", "TRAINER.PRIOR.SMOOTH", "2.0"])
    cfg.freeze()
    assert (cfg.DATASET.NAME, cfg.OPTIM.MAX_EPOCH, cfg.INPUT.SIZE) == ("Caltech101", 50, (224, 224))
    assert cfg.IMO.CFG == "vit_b16_ep50"


@pytest.mark.parametrize("file", FILES, ids=lambda path: "/".join(path.parts[-2:]))
def test_config_files_are_read_where_dassl_has_fewer_settings(file):
    """Checkouts bundle old ones: here, one that has no settings but the trainer's name, and then the checkout's own."""
    cfg = CfgNode({"TRAINER": {"NAME": ""}, "INPUT": {"SIZE": (8, 8)}})
    extend_cfg(cfg)
    assert cfg.INPUT.SIZE == (8, 8)
    assert cfg.INPUT.RRCROP_SCALE == get_cfg_default().INPUT.RRCROP_SCALE
    cfg.merge_from_file(file)
    assert dict(get_cfg_default().INPUT).keys() == cfg.INPUT.keys()


def test_what_a_script_changes_after_files_and_options_is_known(write):
    cfg = default()
    cfg.merge_from_file(write("c.yaml", "OPTIM: {LR: 1.0, MAX_EPOCH: 7}\nINPUT:\n  SIZE: (8, 8)"))
    cfg.MODEL.BACKBONE.NAME = "RN50"  # nobody had set it
    cfg.merge_from_list(["OPTIM.LR", "2.0", "DATASET.NUM_SHOTS", "4"])
    assert cfg.overruled() == {}
    cfg.OPTIM.MAX_EPOCH = 50
    cfg.freeze()
    assert cfg.clone().overruled() == cfg.overruled() == {"OPTIM.MAX_EPOCH": (7, 50)}
    assert "given" not in cfg.dump()
