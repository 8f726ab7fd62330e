"""Rules for the settings of our trainers: all have one, the defaults fit, and known mistakes do not."""

import pytest
from dassl.config import get_cfg_default
from dassl.engine import TRAINER_REGISTRY
from yacs.config import CfgNode

import imo
from imo import trainers
from imo.datasets.base.options import RULES
from imo.rules import check
from imo.workbench import extend_cfg

trainers.register()
OURS = [name for name in TRAINER_REGISTRY.registered_names() if hasattr(TRAINER_REGISTRY.get(name), "rules")]


@pytest.fixture
def cfg():
    cfg = get_cfg_default()
    extend_cfg(cfg)
    return cfg


def leaves(node, prefix=""):
    for name, value in node.items():
        yield from leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]


@pytest.mark.parametrize("name", OURS)
def test_every_setting_has_a_rule_that_its_default_fits(cfg, name):
    kind = TRAINER_REGISTRY.get(name)
    rules = kind.rules(cfg)
    check(cfg, {**rules, **RULES})
    own = f"TRAINER.{getattr(kind, 'node', '')}."
    read = {leaf for leaf in leaves(cfg) if not leaf.startswith("TRAINER.") or leaf.startswith(own)}
    folder = {leaf for leaf in read if leaf.startswith("DATASET.FOLDER.")}  # of that dataset
    assert read - folder - {*rules, *RULES} == {"VERSION"}


@pytest.mark.parametrize("name", OURS)
def test_what_the_config_lacks_is_none_of_ours(cfg, name):
    kind = TRAINER_REGISTRY.get(name)
    check(CfgNode(), kind.rules(cfg))
    cfg.TRAINER.IMOADAPTER, cfg.DATASET.THEIRS = CfgNode({"THEIRS": None}), None
    check(cfg, kind.rules(cfg))


@pytest.mark.parametrize(
    "setting, value",
    [
        ("DATASET.NUM_SHOTS", None), ("DATASET.NUM_SHOTS", 0), ("DATALOADER.TEST.BATCH_SIZE", 0),
        ("DATALOADER.TRAIN_X.BATCH_SIZE", 10**12), ("DATALOADER.NUM_WORKERS", -1), ("INPUT.SIZE", (24,)),
        ("INPUT.SIZE", ()), ("INPUT.INTERPOLATION", "nonesuch"), ("INPUT.TRANSFORMS", ["nonesuch"]),
        ("INPUT.PIXEL_STD", [0.0, 1.0, 1.0]), ("INPUT.RRCROP_SCALE", (1.0, 0.5)), ("INPUT.GB_K", 2),
        ("INPUT.NO_TRANSFORM", True), ("OPTIM.NAME", "nonesuch"), ("OPTIM.LR_SCHEDULER", "nonesuch"),
        ("OPTIM.LR", -1.0), ("OPTIM.LR", float("inf")), ("OPTIM.MAX_EPOCH", 0), ("OPTIM.STEPSIZE", ()),
        ("OPTIM.WARMUP_TYPE", "nonesuch"), ("TRAIN.PRINT_FREQ", 0), ("TEST.EVALUATOR", "nonesuch"),
        ("TEST.SPLIT", "nonesuch"), ("TEST.FINAL_MODEL", "nonesuch"), ("DATALOADER.TEST.SAMPLER", "nonesuch"),
        ("SEED", 2**70), ("SEED", None), ("IMO.PASSES", 10**9), ("IMO.PASSES", 0), ("IMO.STORE", None),
        ("OUTPUT_DIR", "a\0b"), ("USE_CUDA", None), ("IMO.ISOCLIP.TOP", -2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ("TipX", "CoOp", "IMOAdapter"))
def test_known_mistakes(cfg, name, setting, value):
    *nodes, last = setting.split(".")
    node = cfg
    for part in nodes:
        node = node[part]
    node[last] = value
    with pytest.raises(imo.InputError, match=rf"^{setting}: expected "):
        check(cfg, TRAINER_REGISTRY.get(name).rules(cfg))
