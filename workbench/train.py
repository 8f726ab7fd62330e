"""One run of one trainer on one dataset, number of shots and seed: CoOp's command line, `imo train`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import torch
from yacs.config import CfgNode

import imo.datasets  # noqa: F401  # first: it makes dassl importable
from imo import trainers
from imo.errors import InputError
from imo.files import refuse_links
from imo.results import FILE_NAME, Result
from imo.rules import check
from imo.trainers.base import distributed, folders
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.inputs import Inputs, data_of, settings_of, state_of
from imo.trainers.base.settings import shared_rules
from imo.workbench import add_options
from imo.workbench.options import Folder
from imo.workbench.terminal import Log

# isort: split
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY, build_dataset
from dassl.engine import TRAINER_REGISTRY, TrainerX, build_trainer
from dassl.utils import collect_env_info, set_random_seed, setup_logger

env_info = functools.cache(collect_env_info)  # upstream's takes seconds


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser()
    add_arguments(p)
    return p


def add_arguments(p: argparse.ArgumentParser) -> None:
    """CoOp's flags. An empty word where a folder is meant is refused: a shell variable that is not set makes one."""
    trainers.register()
    p.add_argument("--root", action=Folder, default="", help="folder that holds the datasets")
    p.add_argument(
        "--output-dir", action=Folder, default="", help="folder for log.txt, results.json and the trained state"
    )
    p.add_argument("--resume", default="", help="folder of a checkpoint to go on from, made with the same settings")
    p.add_argument(
        "--redo", action="store_true",
        help="train anew where the output folder has a finished run, which is skipped otherwise, or a half-done one, "
        "which goes on otherwise; IMO.REDO True is the same",
    )  # fmt: skip
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


def run(args: argparse.Namespace) -> TrainerX | None:
    """One run, with the arguments of `parser`. Returns the trainer; None where the run is finished already.

    Raises:
        InputError: what the user can mend; no results are written then.
    """
    cfg = setup_cfg(args)
    if args.eval_only:
        check_nothing_is_lost(cfg.OUTPUT_DIR)
    elif not args.no_train:
        with contextlib.redirect_stdout(io.StringIO()):  # the trainer says why a run is done again
            before = finished(args, cfg, {})
        if before is not None:
            print(f"{cfg.OUTPUT_DIR}: finished already; --redo does it again")
            return None
    distributed.join()
    if distributed.world_size() > 1 and not getattr(
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
        trainer: TrainerX = build_trainer(cfg)
        if args.eval_only:
            trainer.load_model(args.model_dir, epoch=args.load_epoch)
            trainer.test()
        elif not args.no_train:
            trainer.train()
    return trainer


def finished(args: argparse.Namespace, cfg: CfgNode, known: dict[str, Inputs]) -> Result | None:
    """The result of a run that was done before, with the same settings, weights and data; see `folders.finished`.

    Args:
        args, cfg: the run's arguments, and its config.
        known: digests of data that were looked at, for other runs on them.
    """
    if cfg.IMO.REDO or not issubclass(TRAINER_REGISTRY.get(cfg.TRAINER.NAME), ClipTrainer):
        return None

    def data() -> Inputs:
        which = f"{cfg.DATASET} {cfg.SEED}"
        if which not in known:
            if cfg.SEED >= 0:
                set_random_seed(cfg.SEED)
            with contextlib.redirect_stdout(io.StringIO()):  # what would be the run's log
                known[which] = data_of(build_dataset(cfg), cfg)
        return {**known[which], **(state_of(args.model_dir, args.load_epoch) if args.eval_only else {})}

    return folders.finished(cfg.OUTPUT_DIR, settings_of(cfg), data)


def setup_cfg(args: argparse.Namespace) -> CfgNode:
    """Defaults, each trainer's and dataset's options, dataset YAML, trainer YAML, flags, KEY VALUE pairs; frozen.

    Raises:
        InputError: a file, an option or a name that does not exist, or a value that does not fit.
    """
    cfg = get_cfg_default()
    add_options(cfg)
    for flag, path in (("--dataset-config-file", args.dataset_config_file), ("--config-file", args.config_file)):
        if path:
            merge(flag, cfg.merge_from_file, path)
    reset_cfg(cfg, args)
    merge("options", cfg.merge_from_list, args.opts)
    for option, name, registry in (
        ("--trainer", cfg.TRAINER.NAME, TRAINER_REGISTRY),
        ("DATASET.NAME", cfg.DATASET.NAME, DATASET_REGISTRY),
    ):
        check_registered(option, name, registry)
    trainer = TRAINER_REGISTRY.get(cfg.TRAINER.NAME)
    ours = issubclass(trainer, ClipTrainer)  # Dassl's own take whatever Dassl takes, but for what is read here
    check(
        cfg,
        trainer.rules(cfg) if ours else {name: shared_rules()[name] for name in ("OUTPUT_DIR", "IMO.STORE", "SEED")},
    )
    for option, folder in (("OUTPUT_DIR", cfg.OUTPUT_DIR), ("IMO.STORE", cfg.IMO.STORE)):
        if not folder.strip():
            raise InputError(f"{option}: empty, which would mean the current folder; name one, or leave it out")
    cfg.freeze()
    return cfg


def reset_cfg(cfg: CfgNode, args: argparse.Namespace) -> None:
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
    if args.redo:
        cfg.IMO.REDO = True


def merge(what: str, function: Callable[..., Any], *args: Any) -> None:
    """Call one of a config's merges; what it refuses becomes an InputError that names the option."""
    try:
        function(*args)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    except Exception as error:  # yacs raises many kinds
        reason = " ".join(str(error).split())
        raise InputError(f"{what}: {reason or type(error).__name__}; mend the name or the value") from error


def check_registered(option: str, name: str, registry: Any) -> None:
    """Refuse a name that is in none of Dassl's registry's entries, with those that are."""
    if name not in registry.registered_names():
        known = ", ".join(sorted(registry.registered_names()))
        raise InputError(f"{option}: unknown name '{name}'; known: {known}")


def check_nothing_is_lost(folder: str) -> None:
    """Refuse a test whose results would take the place of a training run's, which know more.

    Raises:
        InputError: the output folder has results, and the state of the run that they are of.
    """
    if (Path(folder) / FILE_NAME).is_file() and any(Path(folder).glob("*/model*.pth.tar*")):
        raise InputError(
            f"--output-dir: {folder} holds the results of a training run, and those of the test would replace them; "
            f"choose another folder for the test"
        )


class Unclosable:
    """A stream for upstream's logger, which closes the one that it was given."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def close(self) -> None:
        self.stream.flush()


@contextlib.contextmanager
def logged(folder: str) -> Iterator[None]:
    """Standard output goes to log.txt in the folder too. Bad input leaves no log and no folder that was made for it.
    Of several processes, the first alone is heard."""
    if distributed.rank() > 0:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
        return
    made = [path for path in (Path(folder), *Path(folder).parents) if not path.exists()]
    screen, sys.stdout = sys.stdout, Unclosable(sys.stdout)
    try:
        refuse_links(Path(folder, "log.txt"), folder)  # upstream Dassl's logger would follow it
        try:
            setup_logger(folder)
        except OSError as error:
            raise InputError(
                f"--output-dir: {folder} cannot be written ({error.strerror}); choose another (OUTPUT for scripts)"
            ) from error
        log = Path(sys.stdout.file.name)
        sys.stdout = cast(TextIO, Log(sys.stdout))
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


def print_args(args: argparse.Namespace, cfg: CfgNode) -> None:
    """Arguments and config, as CoOp's logs begin."""
    print("***************\n** Arguments **\n***************")
    for key in sorted(vars(args)):
        print(f"{key}: {getattr(args, key)}")
    print("************\n** Config **\n************")
    print(cfg)
