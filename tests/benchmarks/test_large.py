"""What the simulation of the largest search relies on."""

import sys

import torch

import imo
from benchmarks import large


def test_kl_without_key_distributions_is_the_divergence(monkeypatch):
    data = large.Slice.draw(rows=7, classes=11, shots=3, dim=16)
    monkeypatch.setattr(large, "BLOCK", 10)  # 33 keys, an uneven last block
    found = torch.cat(list(large.KeyDivergence(data.keys, data.classifier)(data.queries)), dim=1)
    probabilities = [imo.class_probabilities(x.double(), data.classifier.double()) for x in (data.queries, data.keys)]
    p, q = probabilities[0][:, None], probabilities[1][None]
    torch.testing.assert_close(found.double(), (p * (p / q).log()).sum(2), rtol=1e-4, atol=1e-6)


def test_all_keys_are_the_exact_search():
    data = large.Slice.draw(rows=20, classes=5, shots=4, dim=16)
    cache, zero_shot = imo.CacheModel(data.keys, data.labels, 5), data.zero_shot()
    exact = imo.search(zero_shot, cache, data.queries, data.targets)
    (all_keys, few) = large.nearest_alone(data, cache, exact, zero_shot, (20, 2))
    assert all_keys[3] == "0.0"
    assert few[3] != "0.0"


def test_a_small_slice(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["large", "--rows", "8", "--classes", "50", "--shots", "2"])
    large.main()
    out = capsys.readouterr().out
    assert "100 keys" in out and "search, Tip-X grid" in out and "nearest keys" in out
