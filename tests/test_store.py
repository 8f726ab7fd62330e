import json
import os

import pytest
import torch

from imo.store import FeatureStore, identity

SPACE = {"backbone": "abc", "adapter": None, "size": [24, 24]}


class Encoder:
    """Gives each image, named by a letter, a feature of its own; remembers what it was asked for."""

    def __init__(self, letters, factor=1.0):
        self.letters, self.factor, self.calls = letters, factor, []

    def __call__(self, positions):
        chosen = "".join(self.letters[i] for i in positions)
        self.calls.append(chosen)
        return features(chosen, self.factor)


def features(letters, factor=1.0):
    return torch.tensor([[factor * ord(letter), factor / 3] for letter in letters])


def names(letters):
    return [letter.encode() * 16 for letter in letters]


def fetch(store, letters, space=SPACE, factor=1.0):
    """Features, count, and the calls to the encoder."""
    encoder = Encoder(letters, factor)
    found, count = store.fetch(space, names(letters), encoder)
    return found, count, encoder.calls


def shards(tmp_path):
    return sorted(tmp_path.glob("*/*.shard"))


def test_an_image_is_encoded_once(tmp_path):
    found, count, calls = fetch(FeatureStore(tmp_path), "abc")
    assert (count, calls) == (3, ["abc"])
    assert torch.equal(found, features("abc"))
    found, count, calls = fetch(FeatureStore(tmp_path), "abc")
    assert (count, calls) == (0, [])
    assert torch.equal(found, features("abc"))


def test_only_what_is_missing_is_encoded_and_the_order_is_the_request_s(tmp_path):
    store = FeatureStore(tmp_path)
    fetch(store, "bd")
    found, count, calls = fetch(store, "dacb")
    assert (count, calls) == (2, ["ac"])
    assert torch.equal(found, features("dacb"))


def test_an_image_that_is_asked_for_twice_is_encoded_once(tmp_path):
    store = FeatureStore(tmp_path)
    found, count, calls = fetch(store, "abacb")
    assert (count, calls) == (3, ["abc"])
    assert torch.equal(found, features("abacb"))
    found, count, calls = fetch(store, "dbdb")
    assert (count, calls) == (1, ["d"])
    assert torch.equal(found, features("dbdb"))


@pytest.mark.parametrize("changed", [{"adapter": "def"}, {"backbone": "abd"}, {"size": [24, 32]}, {"more": 1}])
def test_spaces_do_not_mix(tmp_path, changed):
    store = FeatureStore(tmp_path)
    fetch(store, "ab")
    found, count, _ = fetch(store, "ab", {**SPACE, **changed}, factor=2.0)
    assert count == 2
    assert torch.equal(found, features("ab", 2.0))
    assert torch.equal(fetch(store, "ab")[0], features("ab"))


def test_a_space_is_the_same_whatever_the_order_of_its_keys(tmp_path):
    store = FeatureStore(tmp_path)
    fetch(store, "ab")
    assert fetch(store, "ab", dict(reversed(SPACE.items())))[1] == 0


def test_the_folder_says_what_its_features_are(tmp_path):
    fetch(FeatureStore(tmp_path), "ab")
    assert [json.loads(path.read_text()) for path in tmp_path.glob("*/space.json")] == [SPACE]


def test_two_stores_over_one_folder_may_interleave(tmp_path):
    """While one encodes, the other fetches the same images: both get right features, and so does a third."""
    one, two = FeatureStore(tmp_path), FeatureStore(tmp_path)
    inner = []

    def encode(positions):
        inner.append(fetch(two, "bcd"))
        return features("".join("abc"[i] for i in positions))

    found, count = one.fetch(SPACE, names("abc"), encode)
    assert count == 3
    assert torch.equal(found, features("abc"))
    assert torch.equal(inner[0][0], features("bcd"))
    found, count, _ = fetch(FeatureStore(tmp_path), "dcba")
    assert count == 0
    assert torch.equal(found, features("dcba"))


def damage_end(content):
    return content[:-3]


def damage_bit(content):
    return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


def damage_all(content):
    return b""


def damage_kind(content):
    return b"not a shard at all"


@pytest.mark.parametrize("damage", [damage_end, damage_bit, damage_all, damage_kind])
def test_a_damaged_shard_is_computed_again_with_a_warning(tmp_path, damage):
    store = FeatureStore(tmp_path)
    fetch(store, "ab")
    (shard,) = shards(tmp_path)
    fetch(store, "c")
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.warns(UserWarning, match=shard.name):
        found, count, calls = fetch(store, "abc")
    assert (count, calls) == (2, ["ab"])
    assert torch.equal(found, features("abc"))
    assert fetch(store, "abc")[1] == 0


def test_a_failing_encoder_leaves_nothing_behind(tmp_path):
    def fail(positions):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path).fetch(SPACE, names("ab"), fail)
    assert shards(tmp_path) == []
    assert fetch(FeatureStore(tmp_path), "ab")[1] == 2


def test_a_shard_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError(28, "No space left on device")

    store = FeatureStore(tmp_path)
    fetch(store, "a")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        fetch(store, "b")
    assert len(list(tmp_path.glob("*/*"))) == 2  # space.json and the first shard


def test_an_identity_changes_with_the_file_and_with_what_is_added(tmp_path):
    path, other = tmp_path / "a.png", tmp_path / "b.png"
    for file in (path, other):
        file.write_bytes(b"12")
        os.utime(file, ns=(10**18, 10**18))
    found = [identity(str(path)), identity(str(other))]
    found += [identity(str(path), *more) for more in [("view",), (1, 0), (1, 1), (0, 1), (None,), ("1", 0)]]
    os.utime(path, ns=(10**18, 10**18 + 1))
    found.append(identity(str(path)))
    path.write_bytes(b"123")
    os.utime(path, ns=(10**18, 10**18))
    found.append(identity(str(path)))
    assert len(set(found)) == len(found)
    assert {len(key) for key in found} == {16}


def test_an_identity_is_the_same_from_any_working_folder(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"12")
    absolute = identity(str(tmp_path / "a.png"), 3)
    monkeypatch.chdir(tmp_path)
    assert identity("a.png", 3) == absolute


def test_passes_of_one_image_are_kept_apart(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"12")
    store, space = FeatureStore(tmp_path / "store"), {"transform": "random"}
    for number in range(3):
        found, count = store.fetch(
            space, [identity(str(path), 1, number)], lambda _, n=number: torch.full((1, 2), n / 7)
        )
        assert count == 1
        assert torch.equal(found, torch.full((1, 2), number / 7))
