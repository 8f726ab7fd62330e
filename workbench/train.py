"""Run one trainer on one dataset, number of shots and seed, with CoOp's flags.

    python train.py --root data --trainer TipXPP --seed 1 \\
        --dataset-config-file configs/datasets/colored_digits.yaml \\
        --config-file configs/trainers/TipXPP/glyph.yaml \\
        --output-dir output/colored_digits/TipXPP/glyph_16shots/seed1 DATASET.NUM_SHOTS 16
"""

import argparse
import contextlib
import functools
import os
import sys
from pathlib import Path

import torch

from imo import datasets, trainers  # first: they make dassl importable
from imo.errors import InputError, explain
from imo.trainers.base import distributed as _distributed

# isort: split
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY, build_trainer
from dassl.utils import collect_env_info, set_random_seed, setup_logger

env_info = functools.cache(collect_env_info)  # upstream's takes seconds


def print_args(args, cfg):
    print("***************\n** Arguments **\n***************")
    for key in sorted(vars(args)):
        print(f"{key}: {getattr(args, key)}")
    print("************\n** Config **\n************")
    print(cfg)


def reset_cfg(cfg, args):
    """Command-line flags over config files."""
    if args.seed is not None:  # CoOp's `if args.seed:` takes seed 0 for none
        cfg.SEED = args.seed
    targets = {
        "root": (cfg.DATASET, "ROOT"),
        "output_dir": (cfg, "OUTPUT_DIR"),
        "resume": (cfg, "RESUME"),
        "source_domains": (cfg.DATASET, "SOURCE_DOMAINS"),
        "target_domains": (cfg.DATASET, "TARGET_DOMAINS"),
        "transforms": (cfg.INPUT, "TRANSFORMS"),
        "trainer": (cfg.TRAINER, "NAME"),
        "backbone": (cfg.MODEL.BACKBONE, "NAME"),
        "head": (cfg.MODEL.HEAD, "NAME"),
    }
    for flag, (node, key) in targets.items():
        if getattr(args, flag):
            node[key] = getattr(args, flag)


def setup_cfg(args):
    """Defaults, each trainer's and dataset's options, dataset YAML, trainer YAML, flags, KEY VALUE pairs; frozen."""
    cfg = get_cfg_default()
    trainers.extend_cfg(cfg)
    datasets.extend_cfg(cfg)
    for flag, path in (("--dataset-config-file", args.dataset_config_file), ("--config-file", args.config_file)):
        if path:
            if not os.path.isfile(path):
                raise InputError(f"{flag}: no such file: {path}; see configs/ for what there is")
            merge(f"{flag} {path}", cfg.merge_from_file, path)
    reset_cfg(cfg, args)
    merge("options", cfg.merge_from_list, args.opts)
    for option, name, registry in (
        ("--trainer", cfg.TRAINER.NAME, TRAINER_REGISTRY),
        ("DATASET.NAME", cfg.DATASET.NAME, DATASET_REGISTRY),
    ):
        check_registered(option, name, registry)
    cfg.freeze()
    return cfg


def check_registered(option, name, registry):
    """Refuse a name that is in no plug-in, with those that are."""
    if name not in registry.registered_names():
        known = ", ".join(sorted(registry.registered_names()))
        raise InputError(f"{option}: unknown name '{name}'; known: {known}")


def merge(what, function, *args):
    """Call one of yacs' merges; what it refuses becomes an InputError that names the file or option."""
    try:
        function(*args)
    except Exception as error:  # yacs and yaml raise many kinds
        reason = " ".join(str(error).split())
        raise InputError(f"{what}: {reason or type(error).__name__}; mend the name or the value") from error


class Unclosable:
    """A stream for upstream's logger, which closes the one that it was given."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def close(self):
        self.stream.flush()


@contextlib.contextmanager
def logged(folder):
    """Standard output goes to log.txt in the folder too. Bad input leaves no log and no folder that was made for it.
    Of several processes, the first alone is heard."""
    if _distributed.rank() > 0:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
        return
    made = [path for path in (Path(folder), *Path(folder).parents) if not path.exists()]
    screen, sys.stdout = sys.stdout, Unclosable(sys.stdout)
    try:
        try:
            setup_logger(folder)
        except OSError as error:
            raise InputError(
                f"--output-dir: {folder} cannot be written ({error.strerror}); choose another (OUTPUT for scripts)"
            ) from error
        log = Path(sys.stdout.file.name)
        try:
            yield
        except InputError:
            if list(log.parent.iterdir()) == [log]:  # there is no state to which the log would belong
                log.unlink()
                with contextlib.suppress(OSError):
                    for path in made:
                        path.rmdir()
            raise
    finally:
        sys.stdout = screen


def run(args):
    """One run. Returns the trainer."""
    cfg = setup_cfg(args)
    _distributed.join()
    if _distributed.world_size() > 1 and not getattr(
        TRAINER_REGISTRY.get(cfg.TRAINER.NAME), "runs_in_several_processes", False
    ):
        raise InputError(f"torchrun: {cfg.TRAINER.NAME} runs in one process; start it with python")
    if cfg.SEED >= 0:
        print(f"Setting fixed seed: {cfg.SEED}")
        set_random_seed(cfg.SEED)
    if torch.cuda.is_available() and cfg.USE_CUDA:
        torch.backends.cudnn.benchmark = True
    with logged(cfg.OUTPUT_DIR):
        print_args(args, cfg)
        print(f"Collecting env info ...\n** System info **\n{env_info()}\n")
        trainer = build_trainer(cfg)
        if args.eval_only:
            trainer.load_model(args.model_dir, epoch=args.load_epoch)
            trainer.test()
        elif not args.no_train:
            trainer.train()
    return trainer


def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", default="", help="folder that holds the datasets")
    p.add_argument("--output-dir", default="", help="folder for log.txt, results.json and the trained state")
    p.add_argument("--resume", default="", help="folder of a checkpoint to go on from")
    p.add_argument("--seed", type=int, help="0 or more fixes every random choice; negative leaves them free")
    p.add_argument("--source-domains", nargs="+", help="source domains for DA/DG")
    p.add_argument("--target-domains", nargs="+", help="target domains for DA/DG")
    p.add_argument("--transforms", nargs="+", help="data augmentation, in place of INPUT.TRANSFORMS")
    p.add_argument("--config-file", default="", help="configs/trainers/<Trainer>/<cfg>.yaml")
    p.add_argument("--dataset-config-file", default="", help="configs/datasets/<dataset>.yaml")
    p.add_argument("--trainer", default="", help=f"one of {', '.join(sorted(TRAINER_REGISTRY.registered_names()))}")
    p.add_argument("--backbone", default="", help="in place of MODEL.BACKBONE.NAME: a CLIP name, glyph, or a file")
    p.add_argument("--head", default="", help="in place of MODEL.HEAD.NAME")
    p.add_argument("--eval-only", action="store_true", help="load --model-dir and test")
    p.add_argument("--model-dir", default="", help="output folder of a finished run, for --eval-only")
    p.add_argument("--load-epoch", type=int, help="checkpoint to load in place of the best")
    p.add_argument("--no-train", action="store_true", help="build everything, do not train")
    p.add_argument("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs over the config, e.g. DATASET.NUM_SHOTS 16")
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        run(args)
    except (InputError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    _distributed.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
