"""Features on disk: each image is encoded once per encoder, view and precision, whatever asks for it.

Features lie in one folder per `space` (backbone, adapter, transform, precision and so on: everything but the image), as
shards of rows with a 16-byte identity per row. Shards are only ever added, whole or not at all, so several processes
can share a store; the worst they do to each other is to encode an image twice. `imo store` lists and prunes.

Neither shots nor the name of a dataset or split is part of a key: an identity is the image file as it is now, so every
split, shot count, seed and trainer that holds the image shares its rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from imo.errors import InputError
from imo.files import atomic_path
from imo.store.shards import SUFFIX, DamagedShard, Shard, write_shard

Space = Mapping[str, object]
Block = Mapping[str, torch.Tensor]


def identity(path: str) -> bytes:
    """16 bytes that stand for a file as it is now: its path, size and time of change."""
    status = os.stat(path)
    return view_identity(b"", os.path.abspath(path), status.st_size, status.st_mtime_ns)


def view_identity(image: bytes, *key: object) -> bytes:
    """16 bytes that stand for a view of an image (`identity`): `key` is what the view depends on (seed, pass, ...)."""
    return hashlib.blake2b(image + repr(key).encode(), digest_size=16).digest()


class FeatureStore:
    """A folder of features.

    Args:
        root: the folder; made when the first features are written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def fetch(
        self,
        spaces: Mapping[str, Space],
        wanted: str,
        identities: Sequence[bytes],
        encode: Callable[[list[int], tuple[str, ...]], Iterable[Block]],
    ) -> tuple[torch.Tensor, dict[str, int]]:
        """Rows of `spaces[wanted]` for `identities`, in their order; those not in the store are encoded and kept.

        Args:
            spaces: by encoder, everything that its rows depend on beside the image, as JSON values. Rows that must be
                encoded for `wanted` are encoded for the other spaces that lack them too.
            wanted: the encoder whose rows are returned.
            identities: N times 16 bytes.
            encode: (positions among the N, ascending; encoders) -> blocks of consecutive rows, each by encoder. A
                block is on disk before the next is asked for: of an interrupted encoding only the last is lost.

        Returns:
            (N, d) float32, and by encoder the number of rows that were encoded.

        Raises:
            InputError: no identities.
        """
        if not identities:
            raise InputError("features were asked for, but of no images")
        keys = np.frombuffer(b"".join(identities), dtype="S16")
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        counts = dict.fromkeys(spaces, 0)
        rows = _Rows(self.folder(spaces[wanted]), unique)
        if rows.missing.any():
            lacking = {name: rows.missing & _Rows(self.folder(spaces[name]), unique).missing for name in spaces}
            for names, chosen in _groups(lacking, rows.missing):
                self._encode({name: spaces[name] for name in names}, keys, np.sort(first[chosen]), encode)
                for name in names:
                    counts[name] += int(chosen.sum())
            rows = _Rows(self.folder(spaces[wanted]), unique)
            if rows.missing.any():
                raise InputError(f"{rows.folder}: features vanished while they were written; run the command again")
        with contextlib.suppress(OSError):  # says when the space was last used; a store may be read-only
            os.utime(rows.folder / "space.json")
        return rows.gather(inverse), counts

    def folder(self, space: Space) -> Path:
        """Where the shards of a space lie."""
        text = json.dumps(dict(space), sort_keys=True)
        return self.root / hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def _encode(
        self,
        spaces: Mapping[str, Space],
        keys: np.ndarray,
        positions: np.ndarray,
        encode: Callable[[list[int], tuple[str, ...]], Iterable[Block]],
    ) -> None:
        for space in spaces.values():  # for people and for pruning: says what the folder's features are
            folder = self.folder(space)
            if not (folder / "space.json").exists():
                with atomic_path(folder / "space.json") as temporary:
                    temporary.write_text(json.dumps(dict(space), indent=2, sort_keys=True) + "\n")
        done = 0
        for block in encode(positions.tolist(), tuple(spaces)):
            for name, space in spaces.items():
                chosen = positions[done : done + len(block[name])]
                write_shard(self.folder(space), keys[chosen], block[name])
            done += len(chosen)
        if done != len(positions):
            raise ValueError(f"encode: expected {len(positions)} rows, got {done}")


class _Rows:
    """Where the rows of some identities lie in a folder's shards.

    Attributes:
        missing: (U,) bool, the identities that no shard holds.
    """

    def __init__(self, folder: Path, unique: np.ndarray) -> None:
        self.folder = folder
        self._shards: list[Shard] = []
        self._shard_of = np.full(len(unique), -1)
        self._row_of = np.zeros(len(unique), dtype=np.int64)
        for shard in open_shards(folder):
            order = np.argsort(shard.identities)  # neighbours are looked up in neighbouring places
            names = shard.identities[order]
            place = np.searchsorted(unique, names).clip(max=len(unique) - 1)
            held = (unique[place] == names) & (self._shard_of[place] < 0)
            place, held = place[held], order[held]
            if not len(held):
                continue
            try:
                shard.features()
            except DamagedShard as error:
                discard(shard.path, error)
                continue
            self._shard_of[place] = len(self._shards)
            self._row_of[place] = held
            self._shards.append(shard)

    @property
    def missing(self) -> np.ndarray:
        return self._shard_of < 0

    def gather(self, inverse: np.ndarray) -> torch.Tensor:
        """(N, d) float32 for N positions among the identities; only these rows are read."""
        shard_of, row_of = self._shard_of[inverse], torch.from_numpy(self._row_of[inverse])
        order = np.argsort(shard_of, kind="stable")
        ends = np.searchsorted(shard_of[order], np.arange(len(self._shards)), side="right")
        out = torch.empty(len(inverse), self._shards[0].features().shape[1], dtype=torch.float32)
        for shard, chosen in zip(self._shards, np.split(order, ends[:-1])):
            if len(chosen) and chosen[-1] - chosen[0] + 1 == len(chosen):  # no gaps, as they are ascending
                span = slice(chosen[0], chosen[-1] + 1)
                torch.index_select(shard.features(), 0, row_of[span], out=out[span])
            else:
                index = torch.from_numpy(chosen)
                out[index] = shard.features()[row_of[index]]
        return out


def open_shards(folder: Path) -> Iterable[Shard]:
    """The whole shards of a folder; damaged ones are removed with a warning, those of another's pruning passed over."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield Shard(path)
        except DamagedShard as error:
            discard(path, error)
        except FileNotFoundError:
            continue


def discard(path: Path, error: Exception) -> None:
    """Remove a damaged shard and say so."""
    warnings.warn(f"{error}; its features are computed again", stacklevel=2)
    path.unlink(missing_ok=True)


def _groups(lacking: Mapping[str, np.ndarray], missing: np.ndarray) -> Iterable[tuple[tuple[str, ...], np.ndarray]]:
    """Rows by the spaces that lack them: (names, (U,) bool), for all that are missing."""
    names = list(lacking)
    bits = sum(lacking[name].astype(np.int64) << i for i, name in enumerate(names))
    for value in np.unique(np.asarray(bits)[missing]):
        yield tuple(name for i, name in enumerate(names) if value >> i & 1), missing & (bits == value)


if __name__ == "__main__":
    import sys

    from imo.workbench.commands.store import main

    sys.exit(main())
