"""Fixtures that several test modules share; `dassl` is importable from here on."""

import pytest
import torch
from clip.model import CLIP

import imo
from imo.compat.bridge import ensure_dassl
from imo.model.adapter import adapters_of

ensure_dassl()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --slow"))


_CLIP_SHAPE = {
    "embed_dim": 32,
    "image_resolution": 24,
    "vision_layers": 2,
    "vision_width": 64,
    "vision_patch_size": 8,
    "context_length": 77,
    "vocab_size": 49408,
    "transformer_width": 64,
    "transformer_heads": 1,
    "transformer_layers": 1,
}


@pytest.fixture(autouse=True)
def _one_thread():
    """More only get in each other's way on models as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_clip():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CLIP(**_CLIP_SHAPE).float().eval()


@pytest.fixture
def tiny_clip():
    """A random CLIP, always the same: 24 x 24 images, two visual blocks of width 64, 32 features."""
    return random_clip()


@pytest.fixture
def adapted_clip():
    """`tiny_clip` with adapters (bottleneck 8, scale 0.5) whose weights and biases are all random."""
    model = random_clip()
    imo.attach_adapters(model, bottleneck=8, scale=0.5)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for adapter in adapters_of(model):
            for parameter in adapter.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture
def images():
    """(5, 3, 24, 24) random images for `tiny_clip`."""
    return torch.randn(5, 3, 24, 24, generator=torch.Generator().manual_seed(2))


class Bomb:
    """Creates the file `path` when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def malicious_file(tmp_path):
    """A pickle that creates `fuse` when it is read carelessly: (its path, fuse)."""
    path, fuse = tmp_path / "malicious.pt", tmp_path / "fuse"
    torch.save({"visual.proj": Bomb(fuse)}, path)
    return path, fuse
