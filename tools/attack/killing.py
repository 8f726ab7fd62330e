"""Kills commands at random moments, and starts them again."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from process import ROOT, begin

PATIENCE = 300.0  # seconds after which a command hangs
CHANGING = ("seconds", "versions", "images_encoded")  # of results.json: not the same in equal runs
Attack = Callable[[Path], list[list[str]]]  # a folder -> commands, words of `imo`, which run there at once


def outcome(folder: Path) -> dict[str, str]:
    """{file: digest of what it holds} of all that a command left behind, without what differs between equal runs."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = re.sub(r"log\.txt.*", "log.txt", re.sub(r"[0-9a-f]{32}\.shard", "shard", str(path.relative_to(folder))))
        content = path.read_bytes()
        if path.name == "results.json":
            record = {key: value for key, value in json.loads(content).items() if key not in CHANGING}
            content = json.dumps(record).encode()
        told = path.suffix in (".json", ".safetensors", ".png", ".jpg", ".csv") and "compare" not in path.name
        found[name] = hashlib.sha256(content).hexdigest() if told else ""
    return found


def age(folder: Path) -> None:
    """As if a minute had passed since: who has just made a file is given ten seconds."""
    for path in folder.rglob(".imo-tmp.*"):
        with contextlib.suppress(FileNotFoundError):
            then = path.stat().st_mtime - 60
            os.utime(path, (then, then))


def finish(attack: Attack, folder: Path, log: Path) -> float:
    """Run the commands to their end; returns the seconds. TimeoutError where they do not end."""
    begun = time.monotonic()
    processes = [begin(words, log) for words in attack(folder)]
    for process in processes:
        process.join(max(0.0, PATIENCE - (time.monotonic() - begun)))
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            raise TimeoutError
    return time.monotonic() - begun


def kill(attack: Attack, folder: Path, log: Path, seconds: float, dice: random.Random) -> None:
    """Begin the commands, and kill them after a random part of the seconds: each with all its processes, or alone."""
    processes = [begin(words, log) for words in attack(folder)]
    time.sleep(dice.uniform(0, seconds))
    for process in dice.sample(processes, dice.randint(1, len(processes))):
        alone = dice.random() < 0.5
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL) if alone else os.killpg(process.pid, signal.SIGKILL)
    for process in processes:
        process.join(PATIENCE)
    age(folder)


def killed(attack: Attack, whole: dict[str, str], folder: Path, seconds: float, dice: random.Random) -> str:
    """Kill commands and start them again; what was "lost", "left" or "hung", with what it was, or nothing."""
    log = folder.with_suffix(".log")
    folder.mkdir(parents=True)
    for _ in range(dice.choice((1, 1, 2))):
        kill(attack, folder, log, seconds, dice)
    try:
        finish(attack, folder, log)
    except TimeoutError:
        return f"hung: see {log}"
    found = outcome(folder)
    lost = [name for name in whole if found.get(name) != whole[name]]
    left = [name for name in found if name not in whole]
    if lost or left:
        return f"lost {lost[:3]}, left {left[:3]}: see {folder}, {log}"
    shutil.rmtree(folder)
    return ""


def kills(times: int, seed: int, only: list[str], folder: Path) -> list[str]:
    """Attack all that is attacked in turns; returns what went wrong."""
    dice, wrong, every = random.Random(seed), [], attacks(folder)
    chosen = {name: every[name] for name in only or every}
    wholes = {}
    for name, attack in chosen.items():
        (folder / name / "whole").mkdir(parents=True)
        seconds = finish(attack, folder / name / "whole", folder / f"{name}.log")
        wholes[name] = outcome(folder / name / "whole"), seconds
        assert wholes[name][0], (folder / f"{name}.log").read_text()
    counts: collections.Counter[str] = collections.Counter()
    for number in range(times):
        name = list(chosen)[number % len(chosen)]
        fault = killed(chosen[name], wholes[name][0], folder / name / str(number), wholes[name][1], dice)
        counts[name] += 1
        if fault:
            wrong.append(f"{name}, number {number} of seed {seed}: {fault}")
            print(wrong[-1], flush=True)
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{times} attacks by kill ({told}), {len(wrong)} went wrong")
    return wrong


def attacks(folder: Path) -> dict[str, Attack]:
    """What is attacked by kill; what all of it reads is made in `folder`."""
    import torch
    import torchvision
    from bench import CLASSNAMES, make_dataset
    from clip.model import CLIP

    import imo.workbench.plan  # noqa: F401  # before processes are forked
    from imo.workbench.configs import trainer_config

    torch.set_num_threads(1)
    torch.manual_seed(0)
    backbone, data = folder / "tiny.pt", folder / "data"
    torch.save(CLIP(32, 24, 2, 64, 8, 77, 49408, 64, 1, 1).state_dict(), backbone)
    make_dataset(data, classnames=CLASSNAMES, counts={"train": 6, "val": 20, "test": 40})
    serve_pets(folder / "served", torchvision.datasets.OxfordIIITPet)
    common = ("--dataset", "digits", "--cfg", "glyph", "--data", str(data), "--backbone", str(backbone))

    def train(trainer: str, *options: object) -> Callable[[Path], list[str]]:
        return lambda place: [
            *("train", "--root", str(data), "--trainer", trainer, "--seed", "1"),
            *("--output-dir", str(place / trainer), "--config-file", str(trainer_config(trainer, "glyph"))),
            *("--dataset-config-file", str(ROOT / "configs/datasets/digits.yaml")),
            *("MODEL.BACKBONE.NAME", str(backbone), "IMO.STORE", str(place / "features"), "DATASET.NUM_SHOTS", "4"),
            *("DATALOADER.NUM_WORKERS", "1", *map(str, options)),
        ]

    small = ("DATALOADER.TRAIN_X.BATCH_SIZE", 6, "OPTIM.MAX_EPOCH", 6, "TRAINER.IMOADAPTER.SCALE", 0.5)
    one, other, adapter = train("TipX"), train("TaskRes", "OPTIM.MAX_EPOCH", 20), train("IMOAdapter", *small)

    def sweep(place: Path) -> list[str]:
        plan = ("--trainers", "TipX", "--shots", "2", "--seeds", "1", "2", "--jobs", "2")
        return ["sweep", *common, *plan, "--output", str(place)]

    def prune(place: Path) -> list[str]:
        (place / "features").mkdir(parents=True, exist_ok=True)
        return ["store", "prune", "--store", str(place / "features")]

    return {
        "train": lambda place: [one(place)],
        "adapter": lambda place: [adapter(place)],
        "make": lambda place: [["datasets", "prepare", "Digits", "--root", str(place / "data")]],
        "prepare": lambda place: [["datasets", "prepare", "OxfordPets", "--root", str(place / "data")]],
        "prepare twice": lambda place: [["datasets", "prepare", "OxfordPets", "--root", str(place / "data")]] * 2,
        "thrice": lambda place: [*[one(place)] * 3, prune(place)],
        "adapter twice": lambda place: [adapter(place)] * 2,
        "one store": lambda place: [one(place), other(place), prune(place)],
        "sweep": lambda place: [sweep(place)],
        "two sweeps": lambda place: [sweep(place)] * 2,
    }


def serve_pets(folder: Path, pets: Any) -> None:
    """Have torchvision take Oxford Pets from two archives of noise."""
    dice, resources = random.Random(0), []
    for part, names in {"images": [f"a_{i}.jpg" for i in range(300)], "annotations": ["trainval.txt"]}.items():
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / name).write_bytes(dice.randbytes(30_000))
        with tarfile.open(folder / f"{part}.tar.gz", "w:gz", compresslevel=1) as tar:
            tar.add(folder / part, part)
        digest = hashlib.md5((folder / f"{part}.tar.gz").read_bytes()).hexdigest()
        resources.append(((folder / f"{part}.tar.gz").as_uri(), digest))
    pets._RESOURCES = tuple(resources)
