import json
import multiprocessing
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from imo.store import FeatureStore, identity, view_identity
from imo.store import features as feature_store
from imo.store.shards import write_shard

SPACE = {"backbone": "abc", "adapter": None, "size": [24, 24]}


class Encoder:
    """Gives each image, named by a letter, a feature of its own; remembers what it was asked for."""

    def __init__(self, letters, factor=1.0, block=100):
        self.letters, self.factor, self.block, self.calls = letters, factor, block, []

    def __call__(self, positions, names):
        chosen = "".join(self.letters[i] for i in positions)
        self.calls.append(chosen)
        for i in range(0, len(chosen), self.block):
            yield {name: features(chosen[i : i + self.block], self.factor) for name in names}


def features(letters, factor=1.0):
    return torch.tensor([[factor * ord(letter), factor / 3] for letter in letters])


def names(letters):
    return [letter.encode() * 16 for letter in letters]


def fetch(store, letters, space=SPACE, factor=1.0):
    """Features, count, and the calls to the encoder."""
    encoder = Encoder(letters, factor)
    found, counts = store.fetch({"clip": space}, "clip", names(letters), encoder)
    return found, counts["clip"], encoder.calls


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

    def encode(positions, encoders):
        inner.append(fetch(two, "bcd"))
        yield {"clip": features("".join("abc"[i] for i in positions))}

    found, counts = one.fetch({"clip": SPACE}, "clip", names("abc"), encode)
    assert counts == {"clip": 3}
    assert torch.equal(found, features("abc"))
    assert torch.equal(inner[0][0], features("bcd"))
    found, count, _ = fetch(FeatureStore(tmp_path), "dcba")
    assert count == 0
    assert torch.equal(found, features("dcba"))


def damage_end(content):
    return content[:-3]


def damage_identity(content):
    return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


def damage_feature(content):
    start = 8 + int.from_bytes(content[:8], "little")
    return content[:start] + bytes([content[start] ^ 1]) + content[start + 1 :]


def damage_metadata(content):
    return content.replace(b"imo-features-1", b"imo-features-0")


def older_format(content):
    return zlib.crc32(content).to_bytes(4, "big") + content


def damage_all(content):
    return b""


def damage_kind(content):
    return b"not a shard at all"


@pytest.mark.parametrize(
    "damage",
    [damage_end, damage_identity, damage_feature, damage_metadata, damage_all, damage_kind, older_format],
)
def test_a_damaged_shard_is_computed_again_with_a_warning(tmp_path, damage):
    store = FeatureStore(tmp_path)
    fetch(store, "ab")
    (shard,) = shards(tmp_path)
    fetch(store, "c")
    shard.write_bytes(damage(shard.read_bytes()))
    os.utime(shard, (1, 1))  # or it may have been written and spoiled within one tick of the clock
    with pytest.warns(UserWarning, match=shard.name):
        found, count, calls = fetch(store, "abc")
    assert (count, calls) == (2, ["ab"])
    assert torch.equal(found, features("abc"))
    assert fetch(store, "abc")[1] == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_shard_of_numbers_that_no_encoder_gives_is_named_and_computed_again(tmp_path, bad):
    """Its checksums are right, as of a file that someone made."""
    store = FeatureStore(tmp_path)
    rows = features("ab")
    rows[1, 0] = bad
    write_shard(store.folder(SPACE), np.array(names("ab"), dtype="S16"), rows)
    (shard,) = shards(tmp_path)
    with pytest.warns(UserWarning, match=f"{shard.name}: features hold NaN or infinity"):
        assert torch.equal(fetch(store, "ab")[0], features("ab"))


def test_an_interrupted_encoding_goes_on_where_it_was(tmp_path):
    class Interrupted(Encoder):
        def __call__(self, positions, names):
            for number, block in enumerate(super().__call__(positions, names)):
                if number == 2:
                    raise KeyboardInterrupt
                yield block

    encoder = Interrupted("abcdefg", block=2)
    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path).fetch({"clip": SPACE}, "clip", names("abcdefg"), encoder)
    assert len(shards(tmp_path)) == 2
    found, count, calls = fetch(FeatureStore(tmp_path), "gfedcba")
    assert (count, calls) == (3, ["gfe"])
    assert torch.equal(found, features("gfedcba"))


def test_an_encoder_that_gives_too_few_rows_is_noticed(tmp_path):
    with pytest.raises(ValueError, match="expected 3 rows, got 2"):
        FeatureStore(tmp_path).fetch(
            {"clip": SPACE}, "clip", names("abc"), lambda positions, names: [{"clip": features("ab")}]
        )


def test_spaces_share_what_both_lack(tmp_path):
    """Rows that the wanted space lacks are asked for once, with the encoders that lack them; others are left alone."""
    spaces = {"clip": SPACE, "adapter": {**SPACE, "adapter": "def"}}
    store, calls = FeatureStore(tmp_path), []

    def encode(positions, encoders):
        calls.append(("".join("abcde"[i] for i in positions), encoders))
        factor = {"clip": 1.0, "adapter": 2.0}
        yield {name: features(calls[-1][0], factor[name]) for name in encoders}

    fetch(store, "ab", spaces["clip"])
    fetch(store, "bc", spaces["adapter"], factor=2.0)
    found, counts = store.fetch(spaces, "adapter", names("abcde"), encode)
    assert sorted(calls) == [("a", ("adapter",)), ("de", ("clip", "adapter"))]
    assert counts == {"clip": 2, "adapter": 3}
    assert torch.equal(found, features("abcde", 2.0))
    found, counts = store.fetch(spaces, "clip", names("abcde"), encode)
    assert (calls[2:], counts) == ([("c", ("clip",))], {"clip": 1, "adapter": 0})
    assert torch.equal(found, features("abcde"))
    assert store.fetch(spaces, "adapter", names("edcba"), encode)[1] == {"clip": 0, "adapter": 0}


@pytest.mark.parametrize("blocks", [1, 7, 1000])
def test_many_rows_in_uneven_shards_come_in_the_order_asked_for(tmp_path, blocks):
    rng = np.random.default_rng(0)
    keys = [rng.bytes(15) + bytes([i % 3]) for i in range(500)]  # a third end in a zero byte
    rows = torch.from_numpy(rng.standard_normal((500, 5)).astype(np.float32))
    store = FeatureStore(tmp_path)
    for part in np.array_split(rng.permutation(500), 3):
        chosen = [int(i) for i in part]

        def encode(positions, names, chosen=chosen):
            wanted = rows[[chosen[i] for i in positions]]
            yield from ({"clip": block} for block in wanted.split(blocks))

        store.fetch({"clip": SPACE}, "clip", [keys[i] for i in chosen], encode)
    asked = rng.integers(0, 500, 1200)
    found, counts = store.fetch({"clip": SPACE}, "clip", [keys[i] for i in asked], None)
    assert counts == {"clip": 0}
    assert torch.equal(found, rows[asked])


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
    found += [view_identity(found[0], *more) for more in [("view",), (1, 0), (1, 1), (0, 1), (None,), ("1", 0)]]
    found.append(view_identity(found[1], "view"))
    os.utime(path, ns=(10**18, 10**18 + 1))
    found.append(identity(str(path)))
    path.write_bytes(b"123")
    os.utime(path, ns=(10**18, 10**18))
    found.append(identity(str(path)))
    assert len(set(found)) == len(found)
    assert {len(key) for key in found} == {16}


def test_paths_that_look_alike_after_normalisation_have_their_own_identities(tmp_path):
    (tmp_path / "far/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/deep")
    for file in (tmp_path / "a.png", tmp_path / "far/a.png"):
        file.write_bytes(b"12")
        os.utime(file, ns=(10**18, 10**18))
    assert identity(f"{tmp_path}/link/../a.png") != identity(f"{tmp_path}/a.png")


def test_an_identity_is_the_same_from_any_working_folder(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"12")
    absolute = identity(str(tmp_path / "a.png"))
    monkeypatch.chdir(tmp_path)
    assert identity("a.png") == absolute


def encode_in_a_process(root, letters, ready):
    ready.wait()
    found, _, _ = fetch(FeatureStore(root), letters)
    assert torch.equal(found, features(letters))


def test_processes_share_a_store(tmp_path):
    """Several that encode overlapping images at once: each has right features, and nothing is left to encode."""
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(3)
    asked = ("abcdefgh", "hgfedcba", "efghijkl")
    processes = [context.Process(target=encode_in_a_process, args=(tmp_path, letters, ready)) for letters in asked]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    found, count, _ = fetch(FeatureStore(tmp_path), "abcdefghijkl")
    assert count == 0
    assert torch.equal(found, features("abcdefghijkl"))
    assert not list(tmp_path.glob("*/.*"))


def test_another_process_may_fill_the_store_while_this_one_looks_what_is_missing(tmp_path, monkeypatch):
    class RowsWithCompany(feature_store._Rows):
        alone = True

        def __init__(self, *args):
            super().__init__(*args)
            if RowsWithCompany.alone:
                RowsWithCompany.alone = False
                fetch(FeatureStore(tmp_path), "abc")

    monkeypatch.setattr(feature_store, "_Rows", RowsWithCompany)
    found, _, _ = fetch(FeatureStore(tmp_path), "abc")
    assert torch.equal(found, features("abc"))
    assert not RowsWithCompany.alone


def test_only_the_rows_asked_for_take_memory(tmp_path):
    """In a process of its own: 20 rows out of 64 MB, with less than 8 MB of memory that is not the mapped file."""
    keys = [i.to_bytes(16, "big") for i in range(16384)]
    store = FeatureStore(tmp_path)
    store.fetch({"clip": SPACE}, "clip", keys, lambda positions, names: [{"clip": torch.rand(len(positions), 1024)}])
    text = f"""
from pathlib import Path
import torch
from imo.store.features import FeatureStore

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

store = FeatureStore({str(tmp_path)!r})
store.fetch({{"clip": {{}}}}, "clip", [bytes(16)], lambda positions, names: [{{"clip": torch.rand(1, 4)}}])
before = anonymous()
store.fetch({{"clip": {SPACE!r}}}, "clip", [i.to_bytes(16, "big") for i in range(0, 16384, 820)], None)
print(anonymous() - before)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 8192
