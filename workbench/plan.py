"""What a comparison runs: trainers x corrections x shots x seeds on a dataset, each as a command line of train.py."""

from pathlib import Path
from typing import NamedTuple

from dassl.config import get_cfg_default
from dassl.engine import TRAINER_REGISTRY

from imo import datasets
from imo.errors import InputError
from imo.results import read_results
from imo.trainers.base.clip_trainer import ClipTrainer
from imo.trainers.base.corrections import ENCODERS
from imo.trainers.base.options import fingerprint
from imo.workbench import train
from imo.workbench.places import ROOT


class Run(NamedTuple):
    """One run of train.py."""

    dataset: str
    trainer: str
    correction: str  # where the trainer leaves the choice and it is not none
    shots: int
    seed: int
    folder: Path
    argv: list

    @property
    def method(self):
        """The trainer, with its correction where its name does not say it."""
        return f"{self.trainer} ({self.correction})" if self.correction else self.trainer

    def __str__(self):
        return f"{self.dataset}, {self.method}, {self.shots} shots, seed {self.seed}"


def number(option, text, least):
    try:
        if int(text) >= least:
            return int(text)
    except ValueError:
        pass
    raise InputError(f"{option}: expected a whole number of at least {least}, got '{text}'")


def yaml_file(kind, name):
    """The path of a config, or an InputError with the names there are."""
    folder = ROOT / "configs" / kind
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(str(p.relative_to(folder))[:-5] for p in folder.glob("*.yaml"))
        what = {"datasets": "DATASET"}.get(kind, "CFG")
        raise InputError(f"{what}: no {name}.yaml in configs/{kind}; there are: {', '.join(known) or 'none'}")
    return path


def trainer_yaml(trainer, cfg):
    """A trainer's config; a ++ variant without a folder of its own has that of its plain trainer."""
    own = ROOT / "configs" / "trainers" / trainer
    return yaml_file(f"trainers/{trainer if own.is_dir() or not trainer.endswith('PP') else trainer[:-2]}", cfg)


def dataset_options(dataset_yaml):
    """The node DATASET of a dataset's config, over the defaults."""
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    train.merge(str(dataset_yaml), cfg.merge_from_file, str(dataset_yaml))
    return cfg.DATASET


def methods(trainers, corrections):
    """[(trainer, correction)]: each trainer with each correction, where it leaves the choice; else (trainer, "").

    Without trainers: all that are training-free. The correction "adapter" of a trainer with a ++ variant is that.
    """
    registered = TRAINER_REGISTRY.registered_names()
    ours = {name: kind for name in registered if issubclass(kind := TRAINER_REGISTRY.get(name), ClipTrainer)}
    for correction in corrections:
        if correction not in ENCODERS:
            raise InputError(f"CORRECTIONS: expected some of {', '.join(ENCODERS)}, got '{correction}'")
    if not trainers:
        plain = (name for name, kind in ours.items() if kind.training_free)
        trainers = sorted(name for name in plain if not (name.endswith("PP") and name[:-2] in registered))
        trainers.sort(key=lambda name: (ours[name].needs_shots, ours[name].correction is None))  # zero-shot first
    found = []
    for name in trainers:
        train.check_registered("trainer", name, TRAINER_REGISTRY)
        if name not in ours:
            raise InputError(f"TRAINERS: {name} is Dassl's own; run it with train.py")
        if ours[name].correction is not None:
            found.append((name, ""))
            continue
        for correction in corrections:
            variant = correction == "adapter" and f"{name}PP" in registered
            found.append((f"{name}PP", "") if variant else (name, correction))
    return list(dict.fromkeys(found))


def plan(args, dataset_name):
    """[Run] of one dataset, in the order to run; tests on shifted targets follow the run whose state they take."""
    dataset = yaml_file("datasets", dataset_name)
    options_of = dataset_options(dataset)
    cfg = args.cfg or options_of.CFG
    targets = options_of.SHIFTS if args.targets == [] else args.targets or []
    seeds = [number("SEEDS", seed, 0) for seed in args.seeds]
    output = Path(args.output)
    runs = []
    for name, correction in methods(args.trainers, args.corrections):
        config = trainer_yaml(name, cfg)
        if TRAINER_REGISTRY.get(name).needs_shots:
            cells = [(number("SHOTS", shots, 1), seed) for shots in args.shots for seed in seeds]
        else:  # the same whatever the shots and the seed
            cells = [(0, seeds[0])]
        chosen = {"IMO.CORRECTION": correction if correction != "none" else "", "DATASET.VALIDATION": args.validation}
        variant = "-".join([cfg, *filter(None, chosen.values())])
        given = chosen["IMO.CORRECTION"]
        for shots, seed in cells:
            base = output / dataset_name / name / f"{variant}_{shots}shots" / f"seed{seed}"
            argv = ["--root", args.data, "--seed", str(seed), "--trainer", name, "--config-file", str(config)]
            options = ["DATASET.NUM_SHOTS", str(shots), "IMO.STORE", str(output / "features")]
            chosen.update({"IMO.ADAPTER": args.adapter, "MODEL.BACKBONE.NAME": args.backbone})
            options += [word for key, value in chosen.items() if value for word in (key, value)]
            training = [*argv, "--dataset-config-file", str(dataset), "--output-dir", str(base)]
            runs.append(Run(dataset_name, name, given, shots, seed, base, [*training, *options]))
            for target in targets:
                folder = output / "shift" / f"{dataset_name}-{target}" / base.relative_to(output / dataset_name)
                corrupted = not (ROOT / "configs" / "datasets" / f"{target}.yaml").is_file()
                target_yaml = dataset if corrupted else yaml_file("datasets", target)
                testing = [*argv, "--dataset-config-file", str(target_yaml), "--output-dir", str(folder)]
                testing += ["--eval-only", "--model-dir", str(base), *options]
                testing += ["DATASET.CORRUPTION", target] if corrupted else []
                runs.append(Run(dataset_name, name, given, shots, seed, folder, testing))
    return runs


def is_finished(run):
    """Whether the run has results. Results of other settings are an error: they are neither used nor overwritten."""
    results = read_results(run.folder)
    if results is not None and results["settings"] != fingerprint(train.setup_cfg(train.parser().parse_args(run.argv))):
        raise InputError(
            f"{run.folder}: finished with other settings or weights; remove it, or set OUTPUT to another folder"
        )
    return results is not None
