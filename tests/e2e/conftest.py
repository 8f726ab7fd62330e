"""Fixtures of the end-to-end tests: weights and images that nobody trained or took, so nothing is downloaded."""

import pytest
import torch
from bench import Assets, Bench, make_dataset
from clip.model import CLIP
from safetensors.torch import save_file

import imo
from imo.files import file_sha256
from imo.model.adapter import adapters_of


@pytest.fixture(scope="session")
def assets(tmp_path_factory):
    made = Assets(tmp_path_factory.mktemp("assets"))
    make_dataset(made.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = CLIP(32, 24, 2, 64, 8, 77, 49408, 64, 1, 1).state_dict()
        torch.save(state, made.backbone)
        save_file(state, made.safetensors)
        model, _ = imo.load_clip(str(made.backbone))
        imo.attach_adapters(model, bottleneck=8, scale=0.5)
        imo.save_adapters(model, made.fresh_adapter, file_sha256(made.backbone))
        for adapter in adapters_of(model):
            torch.nn.init.normal_(adapter.up.weight, std=0.5)
            torch.nn.init.normal_(adapter.up.bias, std=0.5)
        imo.save_adapters(model, made.adapter, file_sha256(made.backbone))
    return made


@pytest.fixture
def bench(assets, tmp_path):
    return Bench(assets, tmp_path)


@pytest.fixture(scope="session")
def finished(assets, tmp_path_factory):
    """finished(trainer): its run with 4 shots and seed 1, done once for all tests, which leave it as it is."""
    bench, runs = Bench(assets, tmp_path_factory.mktemp("finished")), {}

    def run(trainer):
        if trainer not in runs:
            runs[trainer] = bench.main(trainer)
            assert runs[trainer].status == 0, runs[trainer].err
        return runs[trainer]

    return run
