"""Kills commands at random moments, prunes a store beside its readers, and gives commands files that mean harm.

    python tools/attack.py kill --times 100 [--seed 0] [--only NAME ...]
    python tools/attack.py prune --fetches 10000
    python tools/attack.py files

A command that was killed (SIGKILL) is started again, once or after it was killed again. Then its results must be those of
a run that nobody killed, nothing else may be there, and it must end. All on a tiny random CLIP and tiny data. The status
is 1 where anything was lost, left or hung. The tests do a little of this, with fixed seeds.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e"), str(ROOT / "tools")]

FORK = multiprocessing.get_context("fork")  # a process begins at once, with all that takes long to import
PATIENCE = 300.0  # seconds after which a command hangs
CHANGING = ("seconds", "versions", "images_encoded")  # of results.json: not the same in equal runs


class Attack(NamedTuple):
    """A command that is killed.

    Attributes:
        words: of `imo`, in a folder that is its own; several commands run at once.
        least: the seconds that the first kill waits at least, to come after what takes no part in it.
    """

    words: Callable[[Path], list[list[str]]]


def begin(words: list[str], log: Path) -> Any:
    """`imo` with these words in a process, and a group of processes, of its own."""

    def work() -> None:
        from imo import files
        from imo.workbench import cli

        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        files.drop_leftovers.cache_clear()
        os._exit(cli.main(words))

    process = FORK.Process(target=work)
    process.start()
    return process


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
    processes = [begin(words, log) for words in attack.words(folder)]
    for process in processes:
        process.join(max(0.0, PATIENCE - (time.monotonic() - begun)))
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            raise TimeoutError
    return time.monotonic() - begun


def kill(attack: Attack, folder: Path, log: Path, seconds: float, dice: random.Random) -> None:
    """Begin the commands, and kill them after a random part of the seconds: each with all its processes, or alone."""
    processes = [begin(words, log) for words in attack.words(folder)]
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
    print(f"{times} attacks by kill ({', '.join(f'{n} {name}' for name, n in counts.items())}), {len(wrong)} went wrong")
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
        "train": Attack(lambda place: [one(place)]),
        "adapter": Attack(lambda place: [adapter(place)]),
        "make": Attack(lambda place: [["datasets", "prepare", "Digits", "--root", str(place / "data")]]),
        "prepare": Attack(lambda place: [["datasets", "prepare", "OxfordPets", "--root", str(place / "data")]]),
        "thrice": Attack(lambda place: [one(place)] * 3),
        "adapter twice": Attack(lambda place: [adapter(place)] * 2),
        "one store": Attack(lambda place: [one(place), other(place), prune(place)]),
        "sweep": Attack(lambda place: [sweep(place)]),
        "two sweeps": Attack(lambda place: [sweep(place)] * 2),
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


def prunes(fetches: int, folder: Path, readers: int = 4) -> list[str]:
    """Fetch features in several processes while others list, merge and remove them; returns what went wrong."""
    from imo.workbench import cli

    ended, faults = FORK.Event(), FORK.Queue()
    work = [FORK.Process(target=read, args=(folder, i, -(-fetches // readers), faults)) for i in range(readers)]
    words = (["prune"], ["list"], ["prune", "--older-than", "0"])

    def tidy(place: int) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        while not ended.is_set():
            command, *options = words[place]
            if folder.is_dir() and cli.main(["store", command, "--store", str(folder), *options]):
                faults.put(f"imo store {' '.join(words[place])} failed")

    others = [FORK.Process(target=tidy, args=(place,)) for place in range(len(words))]
    for process in [*work, *others]:
        process.start()
    done = []
    while any(process.is_alive() for process in work) or not faults.empty():
        with contextlib.suppress(Exception):
            done.append(faults.get(timeout=0.2))
    ended.set()
    for process in others:
        process.join(60)
    wrong = [fault for fault in done if fault] + [f"a reader ended with {p.exitcode}" for p in work if p.exitcode]
    print(f"{done.count('')} fetches beside prune and list, {len(wrong)} went wrong")
    return wrong


def read(folder: Path, seed: int, fetches: int, faults: Any) -> None:
    """Fetch random rows of random spaces again and again, and hold them against what they must be."""
    import warnings

    import torch

    from imo.store import FeatureStore

    warnings.simplefilter("error")  # of damaged files
    dice, store = random.Random(seed), FeatureStore(folder)
    for _ in range(fetches):
        wanted = dice.choice("abc")
        spaces = {name: {"backbone": name, "view": "test", "dtype": "float32"} for name in {wanted, dice.choice("abc")}}
        chosen = [dice.randrange(200) for _ in range(dice.randint(1, 20))]

        def encode(positions: list[int], names: tuple[str, ...], chosen: list[int] = chosen) -> Iterator[Any]:
            for start in range(0, len(positions), 5):
                rows = torch.tensor([[float(chosen[i])] for i in positions[start : start + 5]])
                yield {name: rows + ord(name) for name in names}

        try:
            found, _ = store.fetch(spaces, wanted, [i.to_bytes(16, "big") for i in chosen], encode)
            right = found[:, 0].tolist() == [i + ord(wanted) for i in chosen]
            faults.put("" if right else f"wrong rows of {wanted}")
        except Exception as error:
            faults.put(f"{type(error).__name__}: {error}")


def main(argv: list[str]) -> int:
    """Returns 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    by_kill = commands.add_parser("kill")
    by_kill.add_argument("--times", type=int, default=100)
    by_kill.add_argument("--seed", type=int, default=0)
    by_kill.add_argument("--only", nargs="*", default=[])
    commands.add_parser("prune").add_argument("--fetches", type=int, default=10_000)
    commands.add_parser("files")
    args = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    if args.command == "kill":
        wrong = kills(args.times, args.seed, args.only, folder)
    elif args.command == "prune":
        wrong = prunes(args.fetches, folder / "store")
    else:
        import hostile_files

        wrong = hostile_files.attack(folder)
    print("\n".join(wrong))
    if not wrong:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
