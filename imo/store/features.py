"""A store keeps features on disk, so that each image is encoded once per encoder, view and precision.

A *space* is everything that features depend on beside the image: backbone, adapter, transform, precision and so on.
Each space has a folder. In it, features lie as rows in files called shards; each row has an *identity*, 16 bytes made
from the image file's path, size and time of change. Names of datasets and splits, shots and trainers are in neither, so
all runs that use an image share its row.

Several processes may use a store at once: shards are written whole or not at all, and never changed. At worst two
processes encode the same image. The command `imo store` lists and prunes a store; it leaves alone the spaces that a
process is using, each of which has the lock of the space, shared with the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from imo.errors import InputError
from imo.files import atomic_path, file_state
from imo.locks import holding
from imo.store.shards import SUFFIX, DamagedShard, Shard, write_shard

Space = Mapping[str, object]
Block = Mapping[str, torch.Tensor]


def identity(path: str) -> bytes:
    """Identity of an image file: 16 bytes, a hash of its path, size and time of change."""
    absolute = os.path.join(os.getcwd(), path)  # `abspath` would take `link/..` for the folder that holds the link
    return view_identity(b"", absolute, *file_state(path))


def view_identity(image: bytes, *key: object) -> bytes:
    """Identity of a view: 16 bytes, a hash of the image's identity and of `key`, what the view depends on (seed, pass,
    ...)."""
    return hashlib.blake2b(image + repr(key).encode(), digest_size=16).digest()


class FeatureStore:
    """A store in a folder.

    Args:
        root: the folder; it is made when the first features are written.
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
        """Features of N images from one space. Those that the store lacks are encoded, and kept.

        Args:
            spaces: {encoder: its space, as JSON values}. What is missing for `wanted` is encoded for all those of the
                other spaces that lack it too.
            wanted: the encoder whose features are returned.
            identities: N times 16 bytes, in the order of the result.
            encode: called with ascending positions among the N and with names of encoders; yields blocks {encoder:
                (n, d) features} that together have a row for each position, in order. Each block is written before the
                next one is asked for, so that an interruption loses one block at most.

        Returns:
            Features (N, d) float32, and {encoder: number of rows that were encoded}.

        Raises:
            InputError: no identities, or someone removed files of the store while they were used.
        """
        if not identities:
            raise InputError("features were asked for, but of no images")
        keys = np.frombuffer(b"".join(identities), dtype="S16")
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        counts = dict.fromkeys(spaces, 0)
        with contextlib.ExitStack() as stack:
            stack.enter_context(in_use(self.folder(spaces[wanted])))
            rows = _Rows(self.folder(spaces[wanted]), unique)
            if rows.missing.any():
                names = [name for name in spaces if name != wanted]
                for name in names:
                    stack.enter_context(in_use(self.folder(spaces[name])))
                # A space is looked at once, whatever other processes write in the meantime.
                others = {name: _Rows(self.folder(spaces[name]), unique).missing for name in names}
                lacking = {name: rows.missing & others.get(name, rows.missing) for name in spaces}
                for lacked_by, chosen in _groups(lacking, rows.missing):
                    self._encode({name: spaces[name] for name in lacked_by}, keys, np.sort(first[chosen]), encode)
                    for name in lacked_by:
                        counts[name] += int(chosen.sum())
                rows = _Rows(self.folder(spaces[wanted]), unique)
                if rows.missing.any():
                    raise InputError(f"{rows.folder}: features vanished while they were written; run the command again")
            with contextlib.suppress(OSError):  # pruning goes by the time of last use; a read-only store cannot keep it
                os.utime(rows.folder / "space.json")
            return rows.gather(inverse), counts

    def folder(self, space: Space) -> Path:
        """The folder of a space, named by a hash of it."""
        text = json.dumps(dict(space), sort_keys=True)
        return self.root / hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def _encode(
        self,
        spaces: Mapping[str, Space],
        keys: np.ndarray,
        positions: np.ndarray,
        encode: Callable[[list[int], tuple[str, ...]], Iterable[Block]],
    ) -> None:
        """Encode the rows at `positions` for all `spaces`, and write each block to their folders."""
        for space in spaces.values():  # space.json tells people, and `imo store`, what the folder's features are
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


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Within the block, a space's folder is not pruned. It may be where a store cannot be written, or a disk knows no
    locks; there nobody can prune either."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(holding(lock_of(folder), shared=True, wait=True))
        yield


def lock_of(folder: Path) -> Path:
    """The file whose lock is a space's."""
    return folder.with_suffix(".lock")


class _Rows:
    """Finds the rows of U different, sorted identities in a folder's shards. Damaged shards are removed."""

    def __init__(self, folder: Path, unique: np.ndarray) -> None:
        self.folder = folder
        self._shards: list[Shard] = []
        self._shard_of = np.full(len(unique), -1)
        self._row_of = np.zeros(len(unique), dtype=np.int64)
        for shard in open_shards(folder):
            order = np.argsort(shard.identities)  # a sorted search touches memory in order, which is faster
            names = shard.identities[order]
            place = np.searchsorted(unique, names).clip(max=len(unique) - 1)
            held = (unique[place] == names) & (self._shard_of[place] < 0)
            place, held = place[held], order[held]
            if not len(held):
                continue
            try:
                if shard.features().shape[1] != (self._shards or [shard])[0].features().shape[1]:
                    raise DamagedShard(f"{shard.path}: features of another size than in {self._shards[0].path}")
            except DamagedShard as error:
                discard(shard.path, error)
                continue
            self._shard_of[place] = len(self._shards)
            self._row_of[place] = held
            self._shards.append(shard)

    @property
    def missing(self) -> np.ndarray:
        """(U,) bool: the identities that no shard holds."""
        return self._shard_of < 0

    def gather(self, inverse: np.ndarray) -> torch.Tensor:
        """Read the rows (N, d) float32 of the identities at positions `inverse` (N,), and no others."""
        shard_of, row_of = self._shard_of[inverse], torch.from_numpy(self._row_of[inverse])
        order = np.argsort(shard_of, kind="stable")
        ends = np.searchsorted(shard_of[order], np.arange(len(self._shards)), side="right")
        out = torch.empty(len(inverse), self._shards[0].features().shape[1], dtype=torch.float32)
        for shard, chosen in zip(self._shards, np.split(order, ends[:-1])):
            if len(chosen) and chosen[-1] - chosen[0] + 1 == len(chosen):  # consecutive, as they are ascending
                span = slice(chosen[0], chosen[-1] + 1)
                torch.index_select(shard.features(), 0, row_of[span], out=out[span])
            else:
                index = torch.from_numpy(chosen)
                out[index] = shard.features()[row_of[index]]
        return out


def open_shards(folder: Path) -> Iterable[Shard]:
    """The undamaged shards of a folder. Damaged ones are removed with a warning; one that another process removes at
    the same time is passed over."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield Shard(path)
        except DamagedShard as error:
            discard(path, error)
        except FileNotFoundError:
            continue


def discard(path: Path, error: Exception) -> None:
    """Remove a damaged shard, with a warning."""
    warnings.warn(f"{error}; its features are computed again", stacklevel=2)
    path.unlink(missing_ok=True)


def _groups(lacking: Mapping[str, np.ndarray], missing: np.ndarray) -> Iterable[tuple[tuple[str, ...], np.ndarray]]:
    """Group missing rows by the set of spaces that lack them.

    Args:
        lacking: {space: (U,) bool, the rows that it lacks}.
        missing: (U,) bool, the rows to group.

    Yields:
        Names of spaces, and (U,) bool: the rows that these spaces lack and the others have.
    """
    names = list(lacking)
    bits = sum(lacking[name].astype(np.int64) << i for i, name in enumerate(names))
    for value in np.unique(np.asarray(bits)[missing]):
        yield tuple(name for i, name in enumerate(names) if value >> i & 1), missing & (bits == value)
