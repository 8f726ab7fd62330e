"""Shards, the files of a store: safetensors with `identities` (n, 16) uint8 and `features` (n, d) float32, and with the
crc32 of both in the metadata. A shard is written whole or not at all, and never changed."""

from __future__ import annotations

import errno
import json
import os
import uuid
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save

from imo.errors import reason
from imo.files import atomic_path

SUFFIX = ".shard"
_FORMAT = "imo-features-1"
_checked: set[tuple[str, int, int]] = set()  # (path, size, time of change) of files whose features were checked


class DamagedShard(Exception):
    """A file has been changed since it was written, or is no shard."""


class Shard:
    """A shard that is open for reading. Its features are mapped into memory; opening reads only the identities.

    Attributes:
        identities: (n,) identities, numpy's S16.

    Raises:
        DamagedShard: the file is damaged or no shard.
        OSError: the file cannot be read at all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        status = os.stat(path)
        self._seen = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
        try:
            with safe_open(path, framework="pt") as file:  # refuses a file whose size is not as its header says
                self._crc32 = json.loads((file.metadata() or {})[_FORMAT])
                identities = file.get_tensor("identities").numpy()
                self._features: torch.Tensor = file.get_tensor("features")
            if self._crc32["identities"] != zlib.crc32(identities.data):
                raise ValueError("checksum of the identities differs")
            rows, columns = self._features.shape
            if identities.shape != (rows, 16) or self._features.dtype != torch.float32 or not columns:
                raise ValueError(f"{identities.shape} identities of {rows} rows, {columns} {self._features.dtype}")
            self.identities = identities.view("S16")[:, 0]
        except OSError:
            raise
        except Exception as error:  # a damaged file raises nearly anything
            if not path.exists():  # removed between its header and its tensors
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
            raise DamagedShard(f"{path}: damaged, or not written by this version ({reason(error)})") from error

    def features(self) -> torch.Tensor:
        """Features (n, d) float32, mapped into memory: rows that are not read take none.

        Their checksum is computed once per process and file.

        Raises:
            DamagedShard: the checksum is wrong, or there are numbers that no encoder's features have.
        """
        if self._seen not in _checked:
            if self._crc32["features"] != zlib.crc32(self._features.numpy().data):
                raise DamagedShard(f"{self.path}: damaged (checksum of the features differs)")
            if not torch.isfinite(self._features).all():
                raise DamagedShard(f"{self.path}: features hold NaN or infinity")
            _checked.add(self._seen)
        return self._features


def write_shard(folder: Path, identities: np.ndarray, features: torch.Tensor) -> Path:
    """Write a new shard of features (n, d) with identities (n,), numpy's S16, into a folder; returns its path."""
    names = torch.from_numpy(identities.view(np.uint8).reshape(-1, 16).copy())
    rows = features.detach().float().cpu().contiguous()
    if rows.ndim != 2 or len(rows) != len(names):
        raise ValueError(f"features: expected shape ({len(names)}, d), got {tuple(rows.shape)}")
    crc32 = {"identities": zlib.crc32(names.numpy().data), "features": zlib.crc32(rows.numpy().data)}
    content = save({"identities": names, "features": rows}, {_FORMAT: json.dumps(crc32)})
    path = folder / f"{uuid.uuid4().hex}{SUFFIX}"
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path
