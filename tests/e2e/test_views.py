"""Views and their features: decoded once, encoded once, the same views however they are made."""

import hashlib
import random

import numpy as np
import pytest
import torch
import torchvision.transforms as T
from PIL import Image

from imo.trainers.base import views as _views
from imo.trainers.base.views import loader_workers, seeded


def reference_seeded(transform, image, *key):
    """The views that published figures were made with: all of torch's and Python's randomness from `key`."""
    seed = int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1
    state = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        view = transform(image)
    random.setstate(state)
    return view


def test_views_are_those_that_published_figures_were_made_with():
    noise = torch.randint(256, (30, 40, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = Image.fromarray(noise.numpy())
    transform = T.Compose(
        [
            T.RandomResizedCrop(24, scale=(0.5, 1.0)),
            T.RandomHorizontalFlip(),
            T.ColorJitter(0.4, 0.4, 0.4, 0.1),
            T.ToTensor(),
            T.Lambda(lambda view: view + torch.randn(view.shape) + random.random()),
        ]
    )
    views = [seeded(transform, image, 1, "a/b.png", number) for number in range(5)]
    for number, view in enumerate(views):
        assert torch.equal(view, reference_seeded(transform, image, 1, "a/b.png", number))
    assert len({view.numpy().tobytes() for view in views}) == 5


def test_numpys_randomness_is_a_views_own_too():
    """Dassl's cutout draws from np.random."""

    def draw(image):
        return np.random.randint(10**9)

    np.random.seed(3)
    expected = np.random.RandomState(3).randint(10**9)
    assert seeded(draw, None, 1, "a", 0) == seeded(draw, None, 1, "a", 0) != seeded(draw, None, 1, "a", 1)
    assert np.random.randint(10**9) == expected  # the global state was left alone


def test_workers_are_capped_by_cores_and_batches(monkeypatch):
    monkeypatch.setattr(_views.os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert [loader_workers(asked, 100) for asked in (0, 3, 8)] == [0, 3, 4]
    assert loader_workers(8, 2) == 2


@pytest.fixture
def decoded(monkeypatch):
    """Names of the images that are decoded."""
    names, open_image = [], _views.open_image

    def counted(path, upright):
        names.append(path)
        return open_image(path, upright)

    monkeypatch.setattr(_views, "open_image", counted)
    return names


@pytest.mark.parametrize("batch_size", [7, 256])
def test_an_image_is_decoded_once_for_all_passes_and_both_encoders(bench, decoded, batch_size):
    options = ("IMO.STORE", bench.folder / "store", "DATALOADER.TEST.BATCH_SIZE", batch_size)
    run = bench.main("TipXPP", *options)
    assert run.results["images_encoded"] == {"clip": 4 * 4 * 10 + 32, "adapter": 4 * 4 * 10 + 32}
    assert len(decoded) == len(set(decoded)) == 4 * 4 + 32


def test_encoders_are_run_only_where_they_are_needed(bench):
    """Tip-Adapter++ reads CLIP's own features of test views, not of the support set."""
    run = bench.main("TipAdapterPP", "IMO.STORE", bench.folder / "store")
    assert run.results["images_encoded"] == {"clip": 32, "adapter": 32 + 4 * 4 * 10}


def test_a_comparison_encodes_each_view_once(bench):
    """Two trainers, 2 shot counts, 2 seeds: each test and validation image once per encoder, each (training image,
    pass, seed) once per encoder; again in a new folder, nothing."""
    supports = {}
    for again in (False, True):
        total = {"clip": 0, "adapter": 0}
        for trainer in ("TipX", "TipXPP"):
            for shots in (1, 3):
                for seed in (1, 2):
                    output = bench.folder / f"{again}{trainer}{shots}{seed}"
                    done = bench.trainer(
                        trainer, "IMO.STORE", bench.folder / "store", shots=shots, seed=seed, output=output
                    )
                    supports.setdefault(seed, set()).update(item.impath for item in done.dm.dataset.train_x)
                    for name, count in done.views.encoded.items():
                        total[name] += count
        views = 10 * sum(len(images) for images in supports.values())
        assert total == (dict.fromkeys(total, 0) if again else dict.fromkeys(total, 32 + views))


def test_rows_are_computed_once_by_what_they_depend_on(bench):
    trainer = bench.trainer("TipAdapter", "IMO.STORE", bench.folder / "store")
    items, calls = trainer.data.items("test"), []

    def means(batch):
        calls.append(len(batch))
        return batch.mean((2, 3))

    rows = trainer.views.rows(items, {"what": "means"}, means, "means")
    assert rows.shape == (20, 3) and rows.dtype == torch.float32 and len(calls) == 1
    assert torch.equal(trainer.views.rows(items[::-1], {"what": "means"}, means, "means"), rows.flip(0))
    assert len(calls) == 1
    other = trainer.views.rows(items, {"what": "twice"}, lambda batch: 2 * means(batch), "means")
    torch.testing.assert_close(other, 2 * rows)
    assert trainer.views.encoded["rows"] == 40
    with pytest.raises(ValueError, match=r"test_0\.png: features hold NaN"):
        trainer.views.rows(items, {"what": "bad"}, lambda batch: means(batch) * float("nan"), "bad")


def test_precision_is_an_option_and_part_of_the_key(bench):
    store = ("IMO.STORE", bench.folder / "store")
    found = {}
    for precision in ("auto", "fp32", "bf16"):
        trainer = bench.trainer("TipAdapterPP", *store, "IMO.PRECISION", precision, output=bench.folder / precision)
        found[precision] = trainer.data.queries("test").corrected
        new = 0 if precision == "fp32" else 32  # what CPU takes by itself
        assert trainer.views.encoded["adapter"] == (new and new + 160)
    assert torch.equal(found["auto"], found["fp32"])
    gap = (found["bf16"] - found["fp32"]).norm() / found["fp32"].norm()
    assert 0 < gap < 0.05
    bench.main("TipAdapter", "IMO.PRECISION", "half").assert_refused("IMO.PRECISION", "bf16", "'half'")
