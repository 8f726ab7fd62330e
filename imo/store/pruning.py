"""Lists the spaces of a store on disk, and removes or merges their files. All features can be computed again."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch

from imo.errors import InputError, shown
from imo.files import leftovers, read_json
from imo.locks import holding
from imo.store.features import lock_of
from imo.store.shards import SUFFIX, DamagedShard, Shard, write_shard

_MERGED_ROWS = 32768  # about how many rows small shards are merged to


class _Space(TypedDict, total=False):
    backbone: str
    adapter: str | None
    view: str
    dtype: str
    autocast: str
    rows: dict[str, Any]


@dataclass
class SpaceFolder:
    """The folder of a space.

    Attributes:
        space: what its features depend on beside the image; empty if space.json is missing or damaged.
    """

    folder: Path
    space: dict[str, Any]

    @property
    def shards(self) -> list[Path]:
        """Its shards, by name; none where the folder is gone."""
        try:
            return sorted(self.folder.glob(f"*{SUFFIX}"))
        except FileNotFoundError:
            return []

    @property
    def unused(self) -> float:
        """Seconds since its features were last used; 0 where it is gone."""
        for place in (self.folder / "space.json", self.folder):
            with contextlib.suppress(FileNotFoundError):
                return time.time() - place.stat().st_mtime
        return 0.0

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Within the block no other process uses it; yields False where one does already."""
        with holding(lock_of(self.folder)) as handle:
            yield handle is not None

    def remove(self) -> None:
        """Remove the store's files in it, and the folder if nothing else is there."""
        for path in [*self.shards, *leftovers(self.folder), self.folder / "space.json"]:
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
        lock_of(self.folder).unlink(missing_ok=True)  # last: others take a new one for free

    def tidy(self, dry_run: bool) -> Iterator[str]:
        """Remove damaged and left-over files and merge small shards; with `dry_run`, change nothing.

        Yields:
            A line for each thing that is done.
        """
        for path in leftovers(self.folder):
            yield f"{path}: left over by an interrupted process"
            if not dry_run:
                path.unlink(missing_ok=True)
        small = []
        for path in self.shards:
            try:
                shard = Shard(path)
                shard.features()
            except DamagedShard as error:
                yield str(error)
                if not dry_run:
                    path.unlink(missing_ok=True)
                continue
            if len(shard.identities) < _MERGED_ROWS / 2:
                small.append(shard)
        while len(small) > 1:
            group: list[Shard] = []
            while small and sum(len(shard.identities) for shard in group) < _MERGED_ROWS:
                group.append(small.pop())
            if len(group) > 1:
                yield f"{self.folder}: {len(group)} small shards merged"
                if not dry_run:
                    merge(group)


def spaces_of(root: Path) -> list[SpaceFolder]:
    """The spaces of the store in a folder, last used first.

    Raises:
        InputError: there is no such folder.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such store; give --store the folder of IMO.STORE (scripts: OUTPUT/features)")
    found = []
    for folder in root.iterdir():
        if folder.is_dir() and re.fullmatch(r"[0-9a-f]{24}", folder.name):
            space = {}
            with contextlib.suppress(InputError):
                space = shown(read_json(folder / "space.json", _Space, "damaged", ""))
            found.append(SpaceFolder(folder, space))
    return sorted(found, key=lambda space: space.unused)


def merge(shards: Sequence[Shard]) -> None:
    """Replace shards of one space by one that has all their rows. The new one is written first, so that a process that
    reads meanwhile finds every row, or at worst encodes it again."""
    identities = np.concatenate([shard.identities for shard in shards])
    first = np.sort(np.unique(identities, return_index=True)[1])  # two processes may have encoded the same image
    rows = torch.cat([shard.features() for shard in shards])[torch.from_numpy(first)]
    write_shard(shards[0].path.parent, identities[first], rows)
    for shard in shards:
        shard.path.unlink(missing_ok=True)
