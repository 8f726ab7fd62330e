"""Runs a CoOp-style checkout's own train.py with this project's trainers, datasets and config files beside its own.

    cd CoOp
    imo-run train.py --trainer TipXPP --config-file configs/trainers/TipXPP/vit_b16.yaml \\
        --root DATA --dataset-config-file configs/datasets/caltech101.yaml --seed 1 \\
        --output-dir output/caltech101/TipXPP/vit_b16_16shots/seed1 DATASET.NUM_SHOTS 16
    imo-run --list        what is registered, and by whom

No file of the checkout is changed: its train.py runs as the main program, with its flags, datasets and `clip/`. A
trainer or dataset that both have is the checkout's; ours is then called `imo.` and the name. A config file that is not
in the checkout is looked for among ours.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from imo.compat.bridge import ensure_dassl
from imo.compat.plugins import PREFIX
from imo.errors import InputError, explain
from imo.workbench import extend_cfg
from imo.workbench.places import own_config

_CONFIG_FLAGS = ("--config-file", "--dataset-config-file")


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit status; what the checkout's code raises goes through."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    try:
        if argv[0] == "--list":
            listed(argv[1] if len(argv) > 1 else "train.py")
        else:
            run(argv[0], argv[1:])
    except InputError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    return 0


def run(script: str, argv: list[str]) -> None:
    """Run the checkout's script as the main program.

    Raises:
        InputError: no such script, or a config file that neither the checkout nor this project has.
    """
    if not os.path.isfile(script):
        raise InputError(f"{script}: no such script; go to a CoOp-style checkout and type: imo-run train.py ...")
    argv, notes = with_own_configs(argv)
    open_checkout(script, notes)
    sys.argv = [script, *argv]
    runpy.run_path(script, run_name="__main__")


def with_own_configs(argv: list[str]) -> tuple[list[str], list[str]]:
    """The arguments with paths of our config files where the checkout lacks them, and a line on each."""
    argv, notes = list(argv), []
    for i, word in enumerate(argv):
        flag, sign, path = word.partition("=")
        if flag not in _CONFIG_FLAGS or (not sign and i + 1 == len(argv)):
            continue
        path = path if sign else argv[i + 1]
        if path and not os.path.isfile(path):
            own = own_config(path)
            if own is None:
                raise InputError(f"{flag}: no such file: {path}, neither in this checkout nor of clip-imo")
            argv[i if sign else i + 1] = f"{flag}={own}" if sign else str(own)
            notes.append(f"{path} is not in this checkout: read from {own}")
    return argv, notes


def open_checkout(script: str, notes: list[str]) -> None:
    """Put the checkout on the path, and wrap two functions of the Dassl that it will import: `get_cfg_default` brings
    our trainers, datasets and options, `build_trainer` begins with the notes, by then in the log."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    which = ensure_dassl()
    config: Any = importlib.import_module("dassl.config")
    engine: Any = importlib.import_module("dassl.engine")
    get_cfg_default, build_trainer = config.get_cfg_default, engine.build_trainer

    @functools.wraps(get_cfg_default)
    def with_ours() -> Any:
        cfg = get_cfg_default()
        extend_cfg(cfg)
        return cfg

    @functools.wraps(build_trainer)
    def with_notes(cfg: Any) -> Any:
        trainers = engine.TRAINER_REGISTRY
        breaks = pitfalls(cfg, trainers) if which == "dassl" else []
        for note in (f"Dassl: {which}", *notes, *twice(trainers), *breaks):
            print(f"imo-run: {note}")
        return build_trainer(cfg)

    config.get_cfg_default, engine.build_trainer = with_ours, with_notes


def twice(registry: Any) -> list[str]:
    """One line on the trainers that both have, if there are any."""
    names = [name for name in registry.registered_names() if name.startswith(PREFIX)]
    taken = ", ".join(name[len(PREFIX) :] for name in names)
    return [f"this checkout's own trainers stand: {taken}; clip-imo's are called {', '.join(names)}"] if names else []


def pitfalls(cfg: Any, registry: Any) -> list[str]:
    """What of upstream Dassl (last changed in 2022) breaks on this PyTorch with these settings, and what avoids it."""
    found = []
    if cfg.OPTIM.WARMUP_EPOCH > 0 and "verbose" not in inspect.signature(LRScheduler.__init__).parameters:
        found.append("Dassl's warm-up schedulers fail on PyTorch >= 2.7; if the trainer does, add OPTIM.WARMUP_EPOCH 0")
    name = cfg.TRAINER.NAME
    ours = name in registry.registered_names() and owner(registry.get(name)) == "clip-imo"
    if {"--eval-only", "--resume"} & set(sys.argv) and not ours:
        found.append(
            "Dassl loads no checkpoint with a warm-up scheduler on PyTorch >= 2.6 (for files you trust, set "
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1), and none without a validation result (train with TEST.FINAL_MODEL "
            "best_val)"
        )
    return found


def listed(script: str) -> None:
    """Print trainers and datasets with their owners: of the checkout, if its script is there, of Dassl, and ours."""
    if os.path.isfile(script):
        open_checkout(script, [])
        runpy.run_path(script, run_name="imo_run_list")  # its imports, not its main program
    ensure_dassl()
    extend_cfg(importlib.import_module("dassl.config").get_cfg_default())
    for title, module, registry in (
        ("Trainers", "dassl.engine", "TRAINER_REGISTRY"),
        ("Datasets", "dassl.data.datasets", "DATASET_REGISTRY"),
    ):
        entries = getattr(importlib.import_module(module), registry)
        print(title)
        for name in sorted(entries.registered_names(), key=str.lower):
            print(f"  {name:24} {owner(entries.get(name))}")


def owner(kind: Callable[..., Any]) -> str:
    """Who registered a class."""
    first = kind.__module__.partition(".")[0]
    return {"imo": "clip-imo", "dassl": "Dassl"}.get(first, f"this checkout ({kind.__module__})")


if __name__ == "__main__":
    sys.exit(main())
