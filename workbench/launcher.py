"""Runs a CoOp-style checkout's own train.py with this project's trainers, datasets and config files beside its own."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from imo.compat.bridge import ensure_dassl
from imo.compat.plugins import PREFIX
from imo.errors import InputError
from imo.workbench import add_options, extend_cfg
from imo.workbench.configs import LayeredCfg, resolve

_CONFIG_FLAGS = ("--config-file", "--dataset-config-file")


def run(script: str, argv: list[str]) -> None:
    """Run the checkout's script as the main program.

    Raises:
        InputError: no such script, or a config file that neither the checkout nor this project has.
    """
    if not os.path.isfile(script):
        raise InputError(f"{script}: no such script; go to a CoOp-style checkout and type: imo-run train.py ...")
    open_checkout(script, borrowed_configs(argv))
    sys.argv = [script, *argv]
    runpy.run_path(script, run_name="__main__")


def borrowed_configs(argv: Sequence[str]) -> list[str]:
    """The config files among the arguments that the checkout lacks and this project has.

    Raises:
        InputError: nobody has it.
    """
    found = []
    for word, after in zip(argv, [*argv[1:], ""]):
        flag, sign, path = word.partition("=")
        path = path if sign else after
        if flag in _CONFIG_FLAGS and path and not os.path.isfile(path):
            if resolve(path) is None:
                raise InputError(f"{flag}: no such file: {path}, neither in this checkout nor of clip-imo")
            found.append(path)
    return found


def open_checkout(script: str, borrowed: Sequence[str]) -> None:
    """Put the checkout on the path, and wrap two functions of the Dassl that it will import: `get_cfg_default` brings
    our trainers, datasets, options and config files, `build_trainer` begins with notes on them, by then in the log."""
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
        configs = [f"{path} is not in this checkout: read from {resolve(path)}" for path in borrowed]
        breaks = pitfalls(cfg, trainers) if which == "dassl" else []
        for note in (f"Dassl: {which}", *configs, *twice(trainers), *overruled(cfg), *breaks):
            print(f"imo-run: {note}")
        return build_trainer(cfg)

    config.get_cfg_default, engine.build_trainer = with_ours, with_notes


def overruled(cfg: Any) -> list[str]:
    """One line on settings of files and options that the checkout's script has changed, by a flag or by itself."""
    changed = cfg.overruled() if isinstance(cfg, LayeredCfg) else {}
    which = ", ".join(f"{name} {now!r} (was {made!r})" for name, (made, now) in changed.items())
    return [f"train.py has set, over config files and options: {which}"] if which else []


def twice(registry: Any) -> list[str]:
    """One line on the trainers that both have, if there are any."""
    names = [name for name in registry.registered_names() if name.startswith(PREFIX)]
    taken = ", ".join(name[len(PREFIX) :] for name in names)
    return [f"this checkout's own trainers stand: {taken}; clip-imo's are called {', '.join(names)}"] if names else []


def pitfalls(cfg: Any, registry: Any) -> list[str]:
    """What of upstream Dassl (last changed in 2022) breaks on this PyTorch with these settings, and what avoids it."""
    found = []
    if (cfg.OPTIM.WARMUP_EPOCH or 0) > 0 and "verbose" not in inspect.signature(LRScheduler.__init__).parameters:
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
    add_options(importlib.import_module("dassl.config").get_cfg_default())
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
