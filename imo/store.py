"""Features on disk: each image is encoded once per encoder, view and precision, whatever asks for it.

Features lie in one folder per `space` (backbone, adapter, transform and so on: everything but the image), as shards of
rows with the 16-byte identity of each row's image. Shards are only ever added, whole or not at all, so several
processes can share a store; the worst they do to each other is to encode an image twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from imo.errors import InputError
from imo.files import atomic_path


def identity(path: str, *more: object) -> bytes:
    """16 bytes that stand for a file as it is now (path, size, time of change), and for `more` (seed, pass, ...)."""
    status = os.stat(path)
    text = json.dumps([os.path.abspath(path), status.st_size, status.st_mtime_ns, *more])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class FeatureStore:
    """A folder of features.

    Args:
        root: the folder; made when the first features are written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def fetch(
        self,
        space: Mapping[str, object],
        identities: Sequence[bytes],
        encode: Callable[[list[int]], torch.Tensor],
    ) -> tuple[torch.Tensor, int]:
        """Features of the images named by `identities`, in their order; those not in the store are encoded and kept.

        Args:
            space: everything that features depend on beside the image, as JSON values.
            identities: N times 16 bytes.
            encode: positions among the N -> their features, (n, d) float32 on CPU.

        Returns:
            (N, d) float32, and the number of images that were encoded.
        """
        if not identities:
            raise InputError("features were asked for, but of no images")
        name = hashlib.blake2b(json.dumps(dict(space), sort_keys=True).encode(), digest_size=12).hexdigest()
        folder = self.root / name
        rows = self._read(folder, set(identities))
        missing = [i for i, key in enumerate(identities) if key not in rows]
        if missing:
            first = {identities[i]: i for i in reversed(missing)}  # an image that is asked for twice is encoded once
            chosen = sorted(first.values())
            features = encode(chosen)
            rows.update((identities[i], row) for i, row in zip(chosen, features))
            self._write(folder, space, [identities[i] for i in chosen], features)
            missing = chosen
        return torch.stack([rows[key] for key in identities]), len(missing)

    def _read(self, folder: Path, wanted: set[bytes]) -> dict[bytes, torch.Tensor]:
        rows: dict[bytes, torch.Tensor] = {}
        for shard in sorted(folder.glob("*.shard")):
            try:
                content = shard.read_bytes()
                checksum, content = int.from_bytes(content[:4], "big"), content[4:]
                if zlib.crc32(content) != checksum:
                    raise ValueError("checksum differs")
                tensors = load(content)
                keys = tensors["identities"].numpy()
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                warnings.warn(f"{shard}: damaged ({error}); its features are computed again", stacklevel=3)
                shard.unlink(missing_ok=True)
                continue
            for i, key in enumerate(keys):
                key_bytes = key.tobytes()
                if key_bytes in wanted:
                    rows[key_bytes] = tensors["features"][i]
        return rows

    def _write(self, folder: Path, space: Mapping[str, object], keys: Sequence[bytes], features: torch.Tensor) -> None:
        if not (folder / "space.json").exists():  # for people: says what the folder's features are
            with atomic_path(folder / "space.json") as temporary:
                temporary.write_text(json.dumps(dict(space), indent=2, sort_keys=True) + "\n")
        identities = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(len(keys), 16)
        content = save({"identities": identities, "features": features.contiguous()})
        with atomic_path(folder / f"{uuid.uuid4().hex}.shard") as temporary:
            temporary.write_bytes(zlib.crc32(content).to_bytes(4, "big") + content)
