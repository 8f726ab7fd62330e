"""A small checkout in CoOp's shape: its train.py. Tests copy it, add a `clip/`, and run imo-run in the copy."""

import argparse
import sys

import clip.model  # noqa: F401
import datasets.blobs  # noqa: F401
import trainers.linear
import trainers.prior  # noqa: F401
from dassl.config import get_cfg_default
from dassl.engine import build_trainer
from dassl.utils import set_random_seed, setup_logger
from yacs.config import CfgNode


def extend_cfg(cfg):
    cfg.TRAINER.PRIOR = CfgNode({"SMOOTH": 1.0})
    cfg.TRAINER.IMOADAPTER = CfgNode({"THEIRS": True})  # a node that clip-imo has as well
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"


def setup_cfg(args):
    cfg = get_cfg_default()
    extend_cfg(cfg)
    cfg.merge_from_file(args.dataset_config_file)
    cfg.merge_from_file(args.config_file)
    cfg.DATASET.ROOT, cfg.OUTPUT_DIR, cfg.SEED, cfg.TRAINER.NAME = args.root, args.output_dir, args.seed, args.trainer
    cfg.merge_from_list(args.opts)
    cfg.freeze()
    return cfg


def main(args):
    cfg = setup_cfg(args)
    set_random_seed(cfg.SEED)
    setup_logger(cfg.OUTPUT_DIR)
    print(cfg.TRAINER)
    build_trainer(cfg).train()
    for name in ("clip", "dassl"):
        print(f"{name} of {sys.modules[name].__file__}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for flag in ("--root", "--output-dir", "--config-file", "--dataset-config-file", "--trainer"):
        parser.add_argument(flag, default="")
    parser.add_argument("--seed", type=int, default=-1)
    parser.add_argument("opts", nargs=argparse.REMAINDER)
    main(parser.parse_args())
