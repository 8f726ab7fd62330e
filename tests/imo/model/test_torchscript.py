"""TorchScript archives: their tensors are torch.jit.load's, and nothing in them is run."""

import os
import pickle
import zipfile

import pytest
import torch
from torch import nn

import imo
from imo.model.torchscript import RefusedArchive, is_torchscript, read_torchscript

pytestmark = pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated


def same(path):
    ours, theirs = read_torchscript(path), torch.jit.load(path, map_location="cpu").state_dict()
    assert ours.keys() == theirs.keys()
    for key, tensor in theirs.items():
        assert ours[key].dtype == tensor.dtype and ours[key].stride() == tensor.stride(), key
        torch.testing.assert_close(ours[key], tensor.detach(), rtol=0, atol=0, msg=key)
    return ours


class Leaf(nn.Module):
    def __init__(self):
        super().__init__()
        whole = torch.arange(24.0)
        self.rows, self.columns = nn.Parameter(whole[4:16].view(3, 4)), nn.Parameter(whole.view(4, 6).t())
        self.every_other = nn.Parameter(whole[1::2])
        self.tied = self.rows
        self.scalar, self.empty = nn.Parameter(torch.tensor(2.5)), nn.Parameter(torch.zeros(0, 3))
        for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool):
            self.register_buffer(f"as_{str(dtype)[6:]}", torch.tensor([0, 1, 3]).to(dtype))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.no_state, self.words, self.table = torch.ones(2), ["a"], {"a": 1.0}
        self.where, self.sizes = torch.device("cpu"), [1, 2]

    def forward(self, x):
        return x + self.rows.sum()


class Tree(nn.Module):
    def __init__(self):
        super().__init__()
        self.leaf, self.again, self.other = Leaf(), nn.ModuleList([Leaf(), nn.BatchNorm1d(3)]), nn.Conv2d(3, 2, 3)
        self.same = self.leaf

    def forward(self, x):
        return self.leaf(x)


def test_every_kind_of_tensor_comes_back_as_it_was(tmp_path):
    torch.jit.script(Tree()).save(tmp_path / "tree.pt")
    state = same(tmp_path / "tree.pt")
    assert state["leaf.columns"].stride() == (1, 6)
    assert "leaf.no_state" not in state and len(state) > 40
    storages = {state[f"leaf.{name}"].untyped_storage().data_ptr() for name in ("rows", "columns", "tied")}
    assert len(storages) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_clip_comes_back_as_it_was(tiny_clip, tmp_path, dtype):
    example = torch.zeros(1, 3, 24, 24), torch.tensor([[49406, 320, 1125, 49407]])
    torch.jit.trace(tiny_clip, example).to(dtype).save(tmp_path / "clip.pt")
    state = same(tmp_path / "clip.pt")
    assert {tensor.dtype for tensor in state.values()} == {dtype}
    assert state.keys() == tiny_clip.state_dict().keys()
    model, _ = imo.load_clip(str(tmp_path / "clip.pt"))
    assert torch.equal(model.visual.conv1.weight, tiny_clip.visual.conv1.weight.to(dtype).float())


def test_other_files_are_no_archives(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "saved.pt")
    (tmp_path / "text.pt").write_text("PK\3\4")
    assert not is_torchscript(tmp_path / "saved.pt") and not is_torchscript(tmp_path / "text.pt")


# Hostile archives.


class Fuse(nn.Module):
    """Writes the file `fuse` when torch.jit.load restores it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    @torch.jit.export
    def __getstate__(self):
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        self.weight, self.training = state[0], state[1]
        torch.save(state[0], "fuse")

    def forward(self):
        return self.weight


class Holder(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Fuse()

    def forward(self):
        return self.inner()


@pytest.mark.parametrize("kind", [Fuse, Holder])
def test_a_module_that_restores_itself_is_refused_and_not_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    torch.jit.script(kind()).save("bomb.pt")
    torch.jit.load("bomb.pt")
    assert os.path.exists("fuse")  # it is a bomb
    os.remove("fuse")
    with pytest.raises(imo.InputError, match=r"^bomb\.pt: TorchScript archive refused, .*Fuse has a __setstate__"):
        imo.load_clip("bomb.pt")
    assert not os.path.exists("fuse")


class Named:
    """Pickles as a reference to any name."""

    def __init__(self, module, name, *args):
        self.module, self.name, self.args = module, name, args


class Pickler(pickle._Pickler):
    """Writes what PyTorch's own writer does not."""

    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, Named):
            return super().save(obj, save_persistent_id)
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        if obj.args:
            super().save(obj.args)
            self.write(pickle.REDUCE)
        return None


def rewritten(path, part, change, compression=zipfile.ZIP_STORED):
    """The archive with another content of a part, None for without it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in parts if name.endswith(f"/{part}"))
    parts[name] = change(parts[name])
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            if content is not None:
                archive.writestr(name, content)


def pickled(content, tmp_path):
    path = tmp_path / "content.pkl"
    with path.open("wb") as file:
        Pickler(file, protocol=2).dump(content)
    return path.read_bytes()


def qualified(path):
    """The module and name of the archive's class, which PyTorch mangles after others of the same name."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))
    return content[3:].split(b"\n")[:2]


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "linear.pt"
    torch.jit.script(nn.Linear(2, 3)).save(path)
    return path


def refused(path, words):
    with pytest.raises(imo.InputError, match=words) as found:
        imo.load_clip(str(path))
    assert str(found.value).startswith(f"{path}: ") and "\n" not in str(found.value)


@pytest.mark.parametrize(
    "name",
    [
        ("os", "system", "touch fuse"),
        ("builtins", "eval", "open('fuse', 'w')"),
        ("builtins", "getattr", "a", "b"),
        ("torch", "load", "other.pt"),
        ("torch", "Storage.from_file", "fuse"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch.hub", "load", "x"),
    ],
    ids=lambda name: ".".join(name[:2]),
)
def test_other_names_in_its_pickle_are_refused_and_not_called(archive, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    rewritten(archive, "data.pkl", lambda _: pickled({"a": Named(*name)}, tmp_path))
    refused(archive, rf"refused, it names '{name[0]}\.{name[1]}'")
    assert not os.path.exists("fuse")


@pytest.mark.parametrize(
    "part, change, words",
    [
        ("data.pkl", lambda _: pickle.dumps({"weight": 1}, 2), "no module is saved in it"),
        ("data.pkl", lambda content: content[:60], "damaged"),
        ("data.pkl", lambda content: content.replace(b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x009"), "damaged"),
        ("data.pkl", lambda content: content.replace(b"FloatStorage", b"DoubleStorage"), "damaged"),
        ("data.pkl", lambda content: content.replace(b"storage", b"another"), "other than a storage"),
        ("data.pkl", lambda _: None, "damaged"),
        ("data.pkl", lambda _: b"(" * (1 << 24) + b".", "more than 16,777,216"),
        ("data/0", lambda content: content[:8], "damaged"),
        ("data/0", lambda content: content[:7], "damaged"),
        ("data/0", lambda _: b"", "damaged"),
        ("data/0", lambda _: None, "damaged"),
        ("code", lambda _: None, "damaged"),
        ("code", lambda _: b"\xff", "damaged"),
        ("code", lambda _: b"", "not the weights of a CLIP"),
    ],
)
def test_a_damaged_archive_is_told_in_one_line(archive, part, change, words):
    if part == "code":
        part = f"code/{qualified(archive)[0].decode().replace('.', '/')}.py"
    rewritten(archive, part, change)
    refused(archive, words)


def test_a_compressed_storage_is_refused(archive):
    rewritten(archive, "data/0", lambda content: content, zipfile.ZIP_DEFLATED)
    refused(archive, "data/0 is compressed|data/1 is compressed")


def test_a_module_that_contains_itself_is_refused(archive):
    itself = b"\x80\x02c%b\n%b\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb." % (*qualified(archive),)
    rewritten(archive, "data.pkl", lambda _: itself)
    refused(archive, "contain themselves")


def test_attributes_without_names_are_refused(archive):
    number = b"\x80\x02c%b\n%b\n)\x81K\x01b." % (*qualified(archive),)
    rewritten(archive, "data.pkl", lambda _: number)
    with pytest.raises(RefusedArchive, match="are not named"):
        read_torchscript(archive)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_a_truncated_archive_is_told_in_one_line(archive, share):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    refused(archive, "damaged")
