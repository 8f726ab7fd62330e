from __future__ import annotations

import pytest
from dassl.config import clean_cfg, get_cfg_default
from yacs.config import CfgNode


def test_default_values():
    cfg = get_cfg_default()
    assert cfg.VERSION == 1
    assert cfg.OUTPUT_DIR == "./output"
    assert cfg.SEED == -1
    assert cfg.USE_CUDA is True
    assert cfg.INPUT.SIZE == (224, 224)
    assert cfg.INPUT.RRCROP_SCALE == (0.08, 1.0)
    assert cfg.INPUT.PIXEL_MEAN == [0.485, 0.456, 0.406]
    assert cfg.DATASET.NUM_SHOTS == -1
    assert cfg.DATALOADER.NUM_WORKERS == 4
    assert cfg.DATALOADER.TRAIN_X == {"SAMPLER": "RandomSampler", "BATCH_SIZE": 32, "N_DOMAIN": 0, "N_INS": 16}
    assert cfg.DATALOADER.TRAIN_U.SAME_AS_X is True
    assert cfg.MODEL.HEAD.ACTIVATION == "relu"
    assert cfg.OPTIM.NAME == "adam"
    assert cfg.OPTIM.LR == 0.0003
    assert cfg.OPTIM.STEPSIZE == (-1,)
    assert cfg.OPTIM.WARMUP_CONS_LR == 1e-5
    assert cfg.TRAIN.PRINT_FREQ == 10
    assert cfg.TEST.FINAL_MODEL == "last_step"
    assert cfg.TRAINER == {"NAME": ""}


def test_copies_are_independent():
    first = get_cfg_default()
    first.INPUT.PIXEL_MEAN[0] = 9.0
    first.OPTIM.LR = 1.0
    second = get_cfg_default()
    assert second.INPUT.PIXEL_MEAN[0] == 0.485
    assert second.OPTIM.LR == 0.0003


def test_a_merge_checks_types():
    cfg = get_cfg_default()
    cfg.merge_from_list(["OPTIM.LR", "0.002", "INPUT.SIZE", "(32, 32)"])
    assert cfg.OPTIM.LR == 0.002
    assert cfg.INPUT.SIZE == (32, 32)
    with pytest.raises(ValueError):
        cfg.merge_from_list(["TRAIN.PRINT_FREQ", "often"])


def test_clean_cfg_keeps_one_trainer():
    cfg = get_cfg_default()
    cfg.TRAINER.COOP = CfgNode({"N_CTX": 16})
    cfg.TRAINER.COCOOP = CfgNode({"N_CTX": 4})
    clean_cfg(cfg, "CoOp")
    assert set(cfg.TRAINER) == {"NAME", "COOP"}
