"""A method's options as config nodes, and the digest of what a result depends on."""

import pytest
from dassl.config import get_cfg_default
from yacs.config import CfgNode

from imo import trainers
from imo.files import file_sha256
from imo.trainers.base import METHODS, options
from imo.workbench import extend_cfg

trainers.register()


@pytest.fixture
def cfg():
    cfg = get_cfg_default()
    extend_cfg(cfg)
    cfg.TRAINER.NAME, cfg.MODEL.BACKBONE.NAME = "TipXPP", "glyph"
    return cfg


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


@pytest.mark.parametrize(
    "key, value, counts",
    [
        ("IMO.PHI", "inductive", True),
        ("DATASET.NUM_SHOTS", 3, True),
        ("IMO.STORE", "elsewhere", False),
        ("IMO.CFG", "other", False),
        ("OUTPUT_DIR", "elsewhere", False),
        ("TRAINER.TASKRES.RESIDUAL_SCALE", 0.7, False),  # another trainer's
    ],
)
def test_the_digest_covers_what_results_depend_on(cfg, key, value, counts):
    before = options.fingerprint(cfg)
    cfg.merge_from_list([key, value])
    assert (options.fingerprint(cfg) != before) == counts


@pytest.mark.parametrize("trainer, counts", [("TipXPP", False), ("LinearProbe", False), ("TaskRes", True)])
def test_the_number_of_epochs_counts_where_there_are_epochs(cfg, trainer, counts):
    cfg.TRAINER.NAME, cfg.OPTIM.MAX_EPOCH = trainer, 1
    before = options.fingerprint(cfg)
    cfg.OPTIM.MAX_EPOCH = 50
    assert (options.fingerprint(cfg) != before) == counts


def test_the_digest_covers_the_content_of_shipped_weights(cfg, monkeypatch, tmp_path):
    """A run is not finished any more once another adapter ships, though no option changed."""
    before = options.fingerprint(cfg)
    other = tmp_path / "adapter.safetensors"
    other.write_bytes(b"other weights")
    monkeypatch.setattr(options, "shipped_adapter", lambda name: other)
    after = options.fingerprint(cfg)
    assert after != before
    cfg.IMO.ADAPTER = str(other)  # the same content under a name
    assert options.fingerprint(cfg) == after
    cfg.TRAINER.NAME = "TipX"  # does not use it
    plain = options.fingerprint(cfg)
    cfg.IMO.ADAPTER = ""
    assert options.fingerprint(cfg) == plain
    monkeypatch.setattr(options, "shipped_backbone", lambda name: other)
    assert options.fingerprint(cfg) != plain


def test_the_digest_covers_a_backbone_below_home(cfg, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    cfg.TRAINER.NAME, cfg.MODEL.BACKBONE.NAME = "TipX", "~/x.pt"
    (tmp_path / "x.pt").write_bytes(b"one")
    before = options.fingerprint(cfg)
    (tmp_path / "x.pt").write_bytes(b"another")
    assert file_sha256(tmp_path / "x.pt") and options.fingerprint(cfg) != before
