"""Encoding of images and reading of features, against the naive procedure and the model alone.

* ours: the trainers' encoder with a fresh store: files -> features of both encoders, for test views and 10 passes.
* naive: one encoder after the other, each view read, decoded and transformed on its own.
* bound: the model alone, `model(x)` on tensors in memory.
"""

import contextlib
import functools
import io
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from dassl.config import get_cfg_default
from dassl.data.datasets import Datum
from dassl.data.transforms import build_transform
from PIL import Image

import imo
from benchmarks._measure import Line
from imo.model.adapter import adapters_switched
from imo.model.encode import forward_images, in_blocks
from imo.model.openai_clip import clip_module
from imo.store import FeatureStore
from imo.trainers.base import options as _options
from imo.trainers.base.views import ViewEncoder, seeded

BATCH = 50
PASSES = 10


def backbone(name):
    """CLIP with adapters, in evaluation mode: "glyph", or "ViT-B/16" with random weights."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "glyph":
        model, _ = imo.load_clip("glyph", device)
    else:
        torch.manual_seed(0)
        model = clip_module("model").CLIP(512, 224, 12, 768, 16, 77, 49408, 64, 1, 1).float().to(device)
    imo.attach_adapters(model)
    return model.eval()


def make_images(folder, count, side):
    """PNG files of random patches."""
    rng = np.random.default_rng(0)
    items = []
    for i in range(count):
        pixels = np.uint8(rng.integers(0, 256, (side // 8, side // 8, 3))).repeat(8, 0).repeat(8, 1)
        path = Path(folder) / f"{i}.png"
        Image.fromarray(pixels).save(path)
        items.append(Datum(impath=str(path), label=0))
    return items


def config(folder, side):
    cfg = get_cfg_default()
    _options.extend_cfg(cfg)
    for values in (
        ["INPUT.SIZE", (side, side), "INPUT.INTERPOLATION", "bicubic", "INPUT.RRCROP_SCALE", (0.5, 1.0)],
        ["INPUT.TRANSFORMS", ["random_resized_crop", "normalize"], "IMO.PASSES", PASSES, "SEED", 1],
        ["DATALOADER.TEST.BATCH_SIZE", BATCH],
        ["DATASET.ROOT", str(folder), "IMO.STORE", str(Path(folder) / "store")],
    ):
        cfg.merge_from_list(values)
    return cfg


def cpu_seconds(function):
    """Seconds of one call, silent, and what it gives: of CPU time, which other load hardly touches, unless on a GPU."""
    on_gpu = torch.cuda.is_available()
    clock = time.perf_counter if on_gpu else time.process_time
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        begun = clock()
        result = function()
        if on_gpu:
            torch.cuda.synchronize()
    return clock() - begun, result


class Encoding:
    """The same images encoded by the trainers' encoder, by the naive procedure, and by the model without images."""

    def __init__(self, name, images, folder):
        self.name, self.model = name, backbone(name)
        self.side, self.weight = self.model.visual.input_resolution, self.model.visual.conv1.weight
        self.items = make_images(folder, images, 2 * self.side)
        self.cfg = config(folder, self.side)

    def batches(self, views):
        """Tensors in memory, `views` rows in all, once for each encoder: (whether it is the corrected one, tensor)."""
        batch = torch.randn(BATCH, 3, self.side, self.side, dtype=self.weight.dtype, device=self.weight.device)
        for corrected in (False, True):
            for begin in range(0, views, BATCH):
                yield corrected, batch[: views - begin]

    def bare(self, views):
        """The model alone."""
        for corrected, batch in self.batches(views):
            with adapters_switched(self.model, corrected):
                self.model.visual(batch)

    def from_memory(self, views):
        """What the trainers' encoder does with a batch that is loaded."""
        rows = ({"rows": forward_images(self.model, batch, corrected)} for corrected, batch in self.batches(views))
        list(in_blocks(rows))

    def ours(self, items, passes):
        """[features of CLIP, corrected features] by way of the store."""
        encoder = ViewEncoder(self.cfg, self.model, self.name, "adapter")
        encoder.both = ("test", "train")
        found = [encoder.features(items, which, "", passes != [None]) for which in ("clip", "adapter")]
        return [features.flatten(0, -2) for features in found]

    def from_files(self, items, passes):
        """As `ours`, with an empty store."""
        shutil.rmtree(self.cfg.IMO.STORE, ignore_errors=True)
        return self.ours(items, passes)

    def naive(self, items, passes):
        """As `ours`, every view of every encoder from its file."""
        transform, found = build_transform(self.cfg, is_train=passes != [None]), []
        views = [(item.impath, number) for item in items for number in passes]

        def view(path, number):
            image = Image.open(path).convert("RGB")
            return transform(image) if number is None else seeded(transform, image, 1, Path(path).name, number)

        for corrected in (False, True):
            batches = (views[begin : begin + BATCH] for begin in range(0, len(views), BATCH))
            tensors = (torch.stack([view(*names) for names in batch]) for batch in batches)
            found.append(torch.cat([imo.encode_images(self.model, batch, corrected).cpu() for batch in tensors]))
        return found


@torch.no_grad()
def lines(name, images, repeat):
    """The test views of `images` images and the passes of a tenth of them; the best of `repeat` turns, in which a busy
    machine is busy for all."""
    with tempfile.TemporaryDirectory() as folder:
        work = Encoding(name, images, folder)
        work.bare(BATCH)  # to warm up

        def best(*functions):
            turns = [[cpu_seconds(function)[0] for function in functions] for _ in range(repeat)]
            return [min(times) for times in zip(*turns)]

        ours, bound = best(lambda: work.from_memory(images), lambda: work.bare(images))
        yield Line(f"{name}: {images:,} images in memory, both encoders", ours, None, bound)
        few = work.items[: max(images // PASSES, 1)]
        for what, items, passes in (("test views", work.items, [None]), ("augmented views", few, list(range(PASSES)))):
            views = len(items) * len(passes)
            from_files, ours, naive = (
                functools.partial(function, items, passes) for function in (work.from_files, work.ours, work.naive)
            )
            for one, other in zip(cpu_seconds(from_files)[1], cpu_seconds(naive)[1]):
                torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
            times = best(from_files, naive, functools.partial(work.bare, views))
            yield Line(f"{name}: {views:,} {what} from files, both encoders", *times)
            yield Line(f"{name}: {views:,} {what}, the second time", *best(ours, naive))


def reading(count, dim=512):
    """Reading `count` rows out of a store, against a dictionary of rows that is in memory."""
    keys = [i.to_bytes(8, "big").rjust(16) for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(folder)

        def encode(positions, names):
            for begin in range(0, len(positions), 8192):
                yield {"clip": torch.randn(len(positions[begin : begin + 8192]), dim)}

        store.fetch({"clip": {}}, "clip", keys, encode)
        ours, (rows, _) = cpu_seconds(lambda: store.fetch({"clip": {}}, "clip", keys, None))
        table = dict(zip(keys, rows))
        naive, stacked = cpu_seconds(lambda: torch.stack([table[key] for key in keys]))
        assert torch.equal(stacked, rows)
    yield Line(f"store: {count:,} rows of {dim} read and checked", ours, naive)
