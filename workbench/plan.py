"""What a comparison runs: trainers x corrections x shots x seeds on a dataset, each as a command line of train.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

from yacs.config import CfgNode

from imo import trainers
from imo.errors import InputError
from imo.workbench import add_options, train
from imo.workbench.configs import dataset_config, trainer_config
from imo.workbench.places import CONFIGS

# isort: split
from dassl.config import get_cfg_default
from dassl.engine import TRAINER_REGISTRY

from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.corrections import ENCODERS
from imo.trainers.base.inputs import Inputs
from imo.trainers.base.registry import corrected_name


@dataclass(frozen=True)
class Request:
    """What is asked for, in the words of the command line.

    Attributes:
        trainers: their names; empty for all that are training-free.
        corrections: of the trainers that leave the choice.
        cfg: name of the trainers' config; empty for the dataset's own choice (DATASET.CFG).
        validation: DATASET.VALIDATION; empty for its default.
        adapter, backbone: files, or the backbone's name; empty for the config's.
        targets: datasets or corruptions that the trained state is tested on; empty for those of DATASET.SHIFTS, None
            for no such tests.
    """

    trainers: Sequence[str]
    corrections: Sequence[str]
    shots: Sequence[str]
    seeds: Sequence[str]
    data: str
    output: str
    cfg: str = ""
    validation: str = ""
    adapter: str = ""
    backbone: str = ""
    targets: Sequence[str] | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Request:
        """What the arguments of `options.add_plan_arguments` ask for."""
        return cls(**{name: getattr(args, name) for name in cls.__dataclass_fields__ if name in args})

    def words(self, dataset: str) -> list[str]:
        """The same as arguments of `imo compare`, on one dataset."""
        words = ["--dataset", dataset]
        for name, value in vars(self).items():
            if value is not None:
                words += [f"--{name}", *([value] if isinstance(value, str) else value)]
        return words


class Run(NamedTuple):
    """One run of train.py.

    Attributes:
        correction: where the trainer leaves the choice and it is not none; else empty.
        folder: its output folder.
        argv: train.py's arguments.
    """

    dataset: str
    trainer: str
    correction: str
    shots: int
    seed: int
    folder: Path
    argv: list[str]

    @property
    def method(self) -> str:
        """The trainer, with its correction where the trainer leaves the choice."""
        return f"{self.trainer} ({self.correction})" if self.correction else self.trainer

    def __str__(self) -> str:
        return f"{self.dataset}, {self.method}, {self.shots} shots, seed {self.seed}"


def number(option: str, text: str, least: int) -> int:
    """A whole number of at least `least`, or an InputError that names the option."""
    try:
        if int(text) >= least:
            return int(text)
    except ValueError:
        pass
    raise InputError(f"{option}: expected a whole number of at least {least}, got '{text}'")


def dataset_options(name: str) -> CfgNode:
    """The node DATASET of a dataset's config, over the defaults."""
    cfg, path = get_cfg_default(), str(dataset_config(name))
    add_options(cfg)
    train.merge(path, cfg.merge_from_file, path)
    return cfg.DATASET


def image_options(output: str, correction: str, adapter: str, backbone: str) -> list[str]:
    """KEY VALUE pairs for train.py: how images are encoded, and where features are kept. What is empty is left out."""
    chosen = {
        "IMO.STORE": str(Path(output) / "features"),
        "IMO.CORRECTION": correction,
        "IMO.ADAPTER": adapter,
        "MODEL.BACKBONE.NAME": backbone,
    }
    return [word for key, value in chosen.items() if value for word in (key, value)]


def methods(trainers: Iterable[str], corrections: Collection[str]) -> list[tuple[str, str]]:
    """(trainer, correction) of each method.

    A trainer that leaves the choice of the correction is taken with each. Where another trainer is the same method
    under a correction (TipXPP is TipX under "adapter"), that trainer is taken. The correction is empty for trainers
    that fix it.

    Args:
        trainers: names; without any, all that are training-free, those without a support set first.

    Raises:
        InputError: an unknown name, or a trainer of Dassl's own.
    """
    registered = TRAINER_REGISTRY.registered_names()
    ours = {name: kind for name in registered if issubclass(kind := TRAINER_REGISTRY.get(name), ClipTrainer)}
    for correction in corrections:
        if correction not in ENCODERS:
            raise InputError(f"CORRECTIONS: expected some of {', '.join(ENCODERS)}, got '{correction}'")
    plain = sorted(name for name, kind in ours.items() if kind.training_free and kind.base_name is None)
    found: list[tuple[str, str]] = []
    for name in trainers or sorted(plain, key=lambda name: (ours[name].needs_shots, ours[name].correction is None)):
        train.check_registered("trainer", name, TRAINER_REGISTRY)
        if name not in ours:
            raise InputError(f"TRAINERS: {name} is Dassl's own; run it with train.py")
        if ours[name].correction is not None:
            found.append((name, ""))
            continue
        for correction in corrections:
            variant = corrected_name(name, correction)
            found.append((variant, "") if variant else (name, correction if correction != "none" else ""))
    return list(dict.fromkeys(found))


def check_order(request: Request, dataset: str) -> None:
    """Refuse words that would be understood in another order; CoOp's scripts take DATASET CFG SHOTS.

    Raises:
        InputError: the words, and the same in our order.
    """

    def named(find: Callable[[str], object], word: str) -> bool:
        try:
            return bool(find(word))
        except InputError:
            return False

    def fit(trainer: str, dataset: str, shots: str, cfg: str) -> bool:
        names = trainer.split()
        return (
            {*names} <= {*TRAINER_REGISTRY.registered_names()}
            and named(dataset_config, dataset)
            and shots.replace(" ", "").isdigit()
            and (not cfg or all(named(partial(trainer_config, name), cfg) for name in names or [""]))
        )

    trainers.register()
    given = (" ".join(request.trainers), dataset, " ".join(request.shots), request.cfg)
    right = next((words for words in permutations(given) if fit(*words)), given)
    if right != given and not fit(*given):
        got, order = (" ".join(filter(None, words)) for words in (given, right))
        raise InputError(f"TRAINER DATASET SHOTS CFG: got {got}; in the right order: {order}")


def plan(request: Request, dataset: str) -> list[Run]:
    """The runs on one dataset in their order; tests on shifted targets follow the run whose state they take.

    Raises:
        InputError: a name, a number or a config that does not exist.
    """
    check_order(request, dataset)
    file, options = str(dataset_config(dataset)), dataset_options(dataset)
    cfg = request.cfg or options.CFG
    targets = [] if request.targets is None else request.targets or options.SHIFTS
    seeds = [number("SEEDS", seed, 0) for seed in request.seeds]
    output, runs = Path(request.output), []
    for trainer, correction in methods(request.trainers, request.corrections):
        if TRAINER_REGISTRY.get(trainer).needs_shots:
            cells = [(number("SHOTS", shots, 1), seed) for shots in request.shots for seed in seeds]
        else:  # the same whatever the shots and the seed
            cells = [(0, seeds[0])]
        start = ["--root", request.data, "--trainer", trainer, "--config-file", str(trainer_config(trainer, cfg))]
        settings = image_options(request.output, correction, request.adapter, request.backbone)
        settings += ["DATASET.VALIDATION", request.validation] if request.validation else []
        variant = "-".join(filter(None, (cfg, correction, request.validation)))
        for shots, seed in cells:
            place = Path(trainer, f"{variant}_{shots}shots", f"seed{seed}")
            base = output / dataset / place
            flags = [*start, "--seed", str(seed)]
            pairs = ["DATASET.NUM_SHOTS", str(shots), *settings]
            training = [*flags, "--dataset-config-file", file, "--output-dir", str(base), *pairs]
            runs.append(Run(dataset, trainer, correction, shots, seed, base, training))
            for target in targets:
                folder = output / "shift" / f"{dataset}-{target}" / place
                corrupted = not (CONFIGS / "datasets" / f"{target}.yaml").is_file()
                testing = [*flags, "--dataset-config-file", file if corrupted else str(dataset_config(target))]
                testing += ["--output-dir", str(folder), "--eval-only", "--model-dir", str(base), *pairs]
                testing += ["DATASET.CORRUPTION", target] if corrupted else []
                runs.append(Run(dataset, trainer, correction, shots, seed, folder, testing))
    return runs


def unfinished(runs: Iterable[Run]) -> list[Run]:
    """The runs that are to be done: without results of the same settings, weights and data, or tests of a state that is
    to be made.

    Raises:
        InputError: a folder has results of other settings or weights; they are neither used nor overwritten.
    """
    todo: dict[Path, Run] = {}
    known: dict[str, Inputs] = {}
    for run in runs:
        args = train.parser().parse_args(run.argv)
        if train.finished(args, train.setup_cfg(args), known) is None or Path(args.model_dir) in todo:
            todo[run.folder] = run
    return list(todo.values())
