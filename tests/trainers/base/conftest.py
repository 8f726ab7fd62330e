"""A config as an unchanged run of TipXPP has it."""

import pytest
from dassl.config import get_cfg_default

from imo import trainers
from imo.workbench import extend_cfg

trainers.register()


@pytest.fixture
def cfg():
    cfg = get_cfg_default()
    extend_cfg(cfg)
    cfg.TRAINER.NAME, cfg.MODEL.BACKBONE.NAME = "TipXPP", "glyph"
    return cfg
