"""A method's options as config nodes."""

from yacs.config import CfgNode

from imo.trainers.base import METHODS, options


def test_options_are_the_arguments_of_init(cfg):
    assert dict(cfg.TRAINER.CLIPADAPTER) == {"REDUCTION": 4, "RATIOS": (0.2, 0.4, 0.6, 0.8)}
    assert dict(cfg.TRAINER.TIPADAPTERF) == {"ALPHA": 1.17, "BETA": 1.0}
    assert dict(cfg.TRAINER.TASKRES) == {"RESIDUAL_SCALE": 0.5}
    assert "TIPX" not in cfg.TRAINER  # what it has is shared: IMO.SEARCH, IMO.PHI
    cfg.IMO.PHI, cfg.TRAINER.TIPADAPTERF.ALPHA = "inductive", 2.0
    assert options.method_options(METHODS["TipXPP"], cfg) == {"search": "grid", "phi": "inductive"}
    assert options.method_options(METHODS["TipAdapterFPP"], cfg) == {"alpha": 2.0, "beta": 1.0, "search": "grid"}
    assert options.node_of(METHODS["TipAdapterFPP"]) == "TIPADAPTERF"


def test_a_checkout_s_own_node_need_not_have_our_options(cfg):
    cfg.TRAINER.TASKRES = CfgNode({"THEIRS": 1})
    assert options.method_options(METHODS["TaskRes"], cfg) == {"residual_scale": 0.5}
