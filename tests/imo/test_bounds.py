"""Bounds on files; what commands say of such files is in tests/tools/test_attack.py."""

import contextlib
import io
import pickle
import pickletools
import random
import zipfile

import pytest
import torch

from imo.bounds import check_parts, check_pickle, check_tensors, load_tensors


def check(content):
    check_pickle(io.BytesIO(content), len(content))


class Thing:
    """Something with a state."""

    def __init__(self):
        self.parts = [self, {"a": (1, 2)}]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_python_pickles_is_read_over_to_its_end(protocol):
    shared = ("x", 1.5, None, True, b"bytes", 2**100)
    content = {"a": [shared] * 50, "b": {shared: {1, 2}, frozenset((3,)): []}, "c": [Thing(), Thing], "d": ((((),),),)}
    pickled = pickle.dumps(content, protocol)
    file = io.BytesIO(pickled + b"rest")
    check_pickle(file, len(pickled))
    assert file.read() == b"rest"
    check(pickletools.optimize(pickled))


def doubled(depth):
    value = (1,)
    for _ in range(depth):
        value = (value, value)
    return value


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_size_and_depth_are_bounded():
    check(pickle.dumps(doubled(20)))
    check(pickle.dumps(nested(150)))
    for content in (doubled(30), {"a": [doubled(30)]}, [doubled(22)] * 9, nested(300)):
        with pytest.raises(ValueError, match="beyond all measure"):
            check(pickle.dumps(content))


def test_lists_and_dictionaries_that_double_are_bounded_too():
    value = [1]
    for _ in range(40):
        value = {"a": value, "b": value}
    with pytest.raises(ValueError, match="beyond all measure"):
        check(pickle.dumps(value))


def test_places_of_the_memo_are_bounded():
    with pytest.raises(ValueError, match="places"):
        check(b"\x80\x04}r\xff\xff\xff\x7f.")


def test_rubbish_is_read_over_or_refused():
    dice = random.Random(0)
    whole = pickle.dumps({"a": [doubled(3)] * 3, "b": {(1, 2): "c"}})
    for _ in range(3000):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        with contextlib.suppress(Exception):
            check(bytes(content))


def test_parts_of_a_zip_file_are_bounded(tmp_path):
    for size, fits in ((1 << 20, True), (300 << 20, False)):
        with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("part", "w") as part:
            for _ in range(size >> 20):
                part.write(bytes(1 << 20))
        with zipfile.ZipFile(tmp_path / "a") as archive:
            if fits:
                check_parts(archive, 1000)
            else:
                with pytest.raises(ValueError, match="314,572,800 bytes"):
                    check_parts(archive, 1000)


def test_tensors_are_bounded_by_what_they_say(tmp_path):
    torch.save({"a": [torch.zeros(1).expand(100, 100)]}, tmp_path / "small.pt")
    assert load_tensors(tmp_path / "small.pt")["a"][0].shape == (100, 100)
    torch.save({"a": [{"b": torch.zeros(1).expand(10**5, 10**5)}]}, tmp_path / "large.pt")
    with pytest.raises(ValueError, match="40,000,000,000 bytes"):
        load_tensors(tmp_path / "large.pt")
    with pytest.raises(ValueError):
        check_tensors((torch.empty(10**6, 10**6, device="meta"),), 10)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_is_read(tmp_path, zipped):
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    content = {"state_dict": layer.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = load_tensors(tmp_path / "a.pt")
    assert found["epoch"] == 3 and found["optimizer"]["param_groups"] == content["optimizer"]["param_groups"]
    assert all(torch.equal(found["state_dict"][name], value) for name, value in content["state_dict"].items())
