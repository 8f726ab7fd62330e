"""Views of images, and their features by way of the store.

A view is a function of (seed, image, pass) alone: the same image gives the same view in a 4-shot and a 16-shot set,
whatever the batch size, worker count or order. (The published code draws from one global generator.)
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import dassl
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from yacs.config import CfgNode

from imo.errors import InputError
from imo.images import open_image
from imo.model.encode import forward_images, in_blocks
from imo.pieces import ENCODED, in_pieces
from imo.store import FeatureStore, identity, view_identity
from imo.trainers.base import distributed
from imo.trainers.base.transforms import are_ours, build_transform, turns

Transform = Callable[[Image.Image], Any]
Compute = Callable[[torch.Tensor], torch.Tensor]  # (B, 3, H, W) on the model's device -> (B, k)


class _Wanted(NamedTuple):
    """What is asked of each image.

    Attributes:
        passes: see `_Views`.
        spaces: by encoder, what its rows depend on beside the image; see `FeatureStore.fetch`.
        compute: by encoder, what makes them.
        encoder: whose rows are given.
        what: the images, in the progress bar's words.
    """

    passes: Sequence[int | None]
    spaces: dict[str, dict[str, object]]
    compute: Mapping[str, Compute]
    encoder: str
    what: str


_rng: Any = np.random  # numpy's types leave out the two functions used here


def seeded(transform: Transform, image: Image.Image, *key: object) -> Any:
    """`transform(image)` with all randomness drawn from `key`; global random states are left as they were."""
    seed = int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1
    states = random.getstate(), _rng.get_bit_generator(), torch.get_rng_state()
    # The quickest ways: np.random's state takes long to copy, and torch.manual_seed, which seeds GPUs too, takes longer
    # than most transforms.
    random.seed(seed)
    _rng.set_bit_generator(np.random.PCG64(seed))
    torch.default_generator.manual_seed(seed)
    try:
        return transform(image)
    finally:
        random.setstate(states[0])
        _rng.set_bit_generator(states[1])
        torch.set_rng_state(states[2])


def place(path: str, root: str) -> str:
    """Where an image lies below the data root, or its absolute path if it lies elsewhere: its name in the seed of a
    view, the same on every machine that has it below the data root."""
    below = os.path.relpath(path, root)
    outside = below.split(os.sep, 1)[0] == os.pardir
    return (os.path.abspath(path) if outside else below).replace(os.sep, "/")


class _Views(Dataset[Any]):
    """Passes of images, image by image, so that an image is read once for its passes; pass None is the test view.

    Args:
        images: paths.
        passes: pass numbers, the same for all images.
        seed: of the run.
        root: see `place`.
        upright: as for `open_image`.
    """

    transform: Transform  # set before the first view is asked for

    def __init__(
        self, images: Sequence[str], passes: Sequence[int | None], seed: int, root: str, upright: bool = False
    ) -> None:
        self.images, self.passes, self.seed, self.root, self.upright = images, passes, seed, root, upright
        self._opened: tuple[str, Image.Image] | None = None

    def __len__(self) -> int:
        return len(self.images) * len(self.passes)

    def __getitem__(self, index: int) -> Any:
        path, number = self.images[index // len(self.passes)], self.passes[index % len(self.passes)]
        if self._opened is None or self._opened[0] != path:
            self._opened = path, open_image(path, self.upright)
        image = self._opened[1]
        if number is None:
            return self.transform(image)
        return seeded(self.transform, image, self.seed, place(path, self.root), number)

    def identities(self) -> Iterator[bytes]:
        """The store's 16 bytes for each view."""
        for path in self.images:
            image = identity(path)
            if self.passes == [None]:
                yield image
            else:
                key = self.seed, place(path, self.root)
                yield from (view_identity(image, *key, number) for number in self.passes)


def loader_workers(asked: int, batches: int) -> int:
    """Processes that load images: as asked for (DATALOADER.NUM_WORKERS), but no more than cores or batches."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(asked, cores, batches)


class ViewEncoder:
    """Features of Dassl items, each view encoded once.

    Args:
        cfg: of the run; INPUT, IMO, DATALOADER, SEED and DATASET.ROOT are read.
        model: CLIP.
        backbone_sha256: names its weights.
        adapter_sha256: names its adapters; None without any, when there is one encoder.

    Attributes:
        corrected_encoder: the encoder of corrected features: "adapter", or "clip" without adapters.
        both: the kinds of view ("test", "train") of which the features of both encoders will be asked for: where both
            are missing they are computed from one decoded batch. The zero-shot logits make it so for test views.
        encoded: number of views that had to be encoded, by encoder ("clip", "adapter").
    """

    def __init__(self, cfg: CfgNode, model: Any, backbone_sha256: str, adapter_sha256: str | None) -> None:
        self.cfg, self.model = cfg, model
        self.corrected_encoder = "adapter" if adapter_sha256 else "clip"
        self.store = FeatureStore(cfg.IMO.STORE)
        self.encoded = {"clip": 0, "adapter": 0}
        self._sha256 = {"clip": None, "adapter": adapter_sha256}
        self.both: tuple[str, ...] = ("test",)
        self._autocast = {"bf16": torch.bfloat16}.get(cfg.IMO.PRECISION)
        self._weight = model.visual.conv1.weight
        # Everything a view's features depend on beside image, seed and pass: the options of all transforms, by value.
        self._space: dict[str, object] = {
            "backbone": backbone_sha256,
            "adapter": None,
            "dtype": str(self._weight.dtype),
            "autocast": str(self._autocast),
            "input": str(cfg.INPUT),
        }
        if not are_ours(cfg):
            self._space["transforms"] = f"dassl {dassl.__version__}"
        self._upright = turns(cfg)
        if self._upright:
            self._space["upright"] = True

    def features(self, items: Sequence[Any], encoder: str, what: str, augmented: bool = False) -> torch.Tensor:
        """Un-normalised features, float32: (N, d) of the test views, or (N, passes, d) of augmented views."""
        passes: Sequence[int | None] = range(self.cfg.IMO.PASSES) if augmented else [None]
        view = "train" if augmented else "test"
        names = ("clip", "adapter") if view in self.both and self._sha256["adapter"] else (encoder,)
        spaces = {name: {**self._space, "view": view, "adapter": self._sha256[name]} for name in names}
        forward = functools.partial(forward_images, self.model, autocast=self._autocast)
        compute = {name: functools.partial(forward, corrected=name == "adapter") for name in names}
        rows = self._fetch(items, _Wanted(passes, spaces, compute, encoder, what))
        return rows.unflatten(0, (len(items), len(passes))) if augmented else rows

    def rows(self, items: Sequence[Any], key: Mapping[str, object], compute: Compute, what: str) -> torch.Tensor:
        """(N, k) float32 rows computed from the test views.

        Args:
            key: what the rows depend on beside the backbone and the views, as JSON values.
        """
        spaces = {"rows": {**self._space, "view": "test", "rows": dict(key)}}
        in_whole_pieces = functools.partial(in_pieces, torch.no_grad()(compute), size=ENCODED)
        return self._fetch(items, _Wanted([None], spaces, {"rows": in_whole_pieces}, "rows", what))

    def _fetch(self, items: Sequence[Any], wanted: _Wanted) -> torch.Tensor:
        """Rows of the items. Each of several processes encodes its share into the store, where all find the rest."""
        share = items[distributed.rank() :: distributed.world_size()]
        counts: dict[str, int] = {}
        if share:
            rows, counts = self._fetch_here(share, wanted)
        for name, count in distributed.total({name: counts.get(name, 0) for name in wanted.spaces}).items():
            self.encoded[name] = self.encoded.get(name, 0) + count
        if len(share) < len(items):  # the totals are there when all have encoded
            rows, _ = self._fetch_here(items, wanted)
        return rows

    def _fetch_here(self, items: Sequence[Any], wanted: _Wanted) -> tuple[torch.Tensor, dict[str, int]]:
        """Rows of the items, and the number of those that this process had to encode, by encoder."""
        cfg, passes = self.cfg, wanted.passes
        images = [item.impath for item in items]
        views = _Views(images, passes, cfg.SEED, os.path.expanduser(cfg.DATASET.ROOT), self._upright)

        def encode(chosen: list[int], names: tuple[str, ...]) -> Iterable[dict[str, torch.Tensor]]:
            transform: Any = build_transform(cfg, is_train=passes != [None])
            views.transform = transform
            batches = self._batches(views, chosen, f"Encoding {wanted.what} ({', '.join(names)})")
            done = 0
            for block in in_blocks({name: wanted.compute[name](batch) for name in names} for batch in batches):
                for name, rows in block.items():
                    bad = (~torch.isfinite(rows).all(1)).nonzero()
                    if len(bad):
                        image = images[chosen[done + int(bad[0])] // len(passes)]
                        why = f"features hold NaN or infinity ({name}); check the image and the weights"
                        raise InputError(f"{image}: {why}")
                yield block
                done += len(rows)

        return self.store.fetch(wanted.spaces, wanted.encoder, list(views.identities()), encode)

    def _batches(self, views: _Views, chosen: list[int], label: str) -> Iterator[torch.Tensor]:
        """Batches of the chosen views, on the model's device and in its data type."""
        size = ENCODED * -(-self.cfg.DATALOADER.TEST.BATCH_SIZE // ENCODED)
        workers = loader_workers(self.cfg.DATALOADER.NUM_WORKERS, -(-len(chosen) // size))
        pinned = self._weight.device.type == "cuda"
        loader = DataLoader(views, size, sampler=chosen, num_workers=workers, pin_memory=pinned)
        batches: Any = iter(loader)
        try:
            for batch in tqdm(batches, desc=label, total=len(loader)):
                yield batch.to(self._weight.device, self._weight.dtype, non_blocking=True)
        finally:  # after an error PyTorch would wait 5 seconds for each worker, at some later time
            if workers:
                batches._shutdown_workers()
