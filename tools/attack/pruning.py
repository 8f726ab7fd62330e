"""Prunes and lists a store beside processes that fetch from it."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from process import FORK


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
