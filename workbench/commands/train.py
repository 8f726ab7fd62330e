"""One run of one trainer, with CoOp's flags.

    imo train --root data --trainer TipXPP --seed 1 \\
        --dataset-config-file configs/datasets/colored_digits.yaml \\
        --config-file configs/trainers/TipXPP/glyph.yaml \\
        --output-dir output/colored_digits/TipXPP/glyph_16shots/seed1 DATASET.NUM_SHOTS 16

`python train.py` is the same.
"""

from __future__ import annotations

import argparse

from imo.workbench.options import FEATURES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from imo.workbench import train

    train.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imo.trainers.base import distributed
    from imo.workbench import train

    train.run(args)
    distributed.leave()
    return 0


def kept(args: argparse.Namespace) -> str:
    from imo.workbench import train

    cfg = train.setup_cfg(args)
    return (
        f"{FEATURES} are kept in {cfg.IMO.STORE}, checkpoints in {cfg.OUTPUT_DIR}; the same command goes on from them"
    )
