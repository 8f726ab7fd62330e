"""Reads the tensors of a TorchScript archive without running the code that it holds.

`torch.jit.load` runs a module's `__setstate__`, and `torch.load(weights_only=True)` refuses such archives. This is what
lies between: an archive is a zip of data.pkl (the tree of modules), data/<key> (the bytes of each storage) and
code/<qualified name>.py (TorchScript's source, of which the names of parameters and buffers are read as text).
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from imo.bounds import check_parts, check_pickle

_STORAGES = {  # what data.pkl calls the type of a storage
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
_TEXT_LIMIT = 1 << 24  # bytes of code/<name>.py and data.pkl: OpenAI's have below 1 MB
_SEARCH_LIMIT = 1 << 28  # bytes of sources in which classes are looked for, one after the other
_MODULE_LIMIT = 10_000  # of a tree: OpenAI's have below 1,000


class RefusedArchive(Exception):
    """An archive holds what is not read. The text says what, in one line."""


class _Record:
    """Stands in for an object of an archive: keeps its attributes, and does nothing."""

    qualified: str
    attributes: Any = None

    def __setstate__(self, state: Any) -> None:
        self.attributes = state


def is_torchscript(path: str | Path) -> bool:
    """Whether a file is a TorchScript archive; files of `torch.save` are zips too, but have no constants.pkl."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.partition("/")[2] == "constants.pkl" for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def read_torchscript(path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict of the module in a TorchScript archive, on CPU, equal to `torch.jit.load(path).state_dict()`.

    Raises:
        RefusedArchive: it holds other objects than a module has, a module that restores itself by code of its own
            (`__setstate__`), or a part beyond all measure.
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            check_parts(file, Path(path).stat().st_size)
            archive = _Archive(file)
            return _state_dict(archive.objects(), archive)
    except (RefusedArchive, OSError):
        raise
    except Exception as error:  # zipfile, pickle and zlib raise nearly anything
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _state_dict(tree: Any, archive: _Archive) -> dict[str, torch.Tensor]:
    """The parameters and buffers of a tree of modules, by their names with dots."""
    if not isinstance(tree, _Record):
        raise RefusedArchive("no module is saved in it")
    state: dict[str, torch.Tensor] = {}
    todo, visited = [("", tree)], 0
    while todo:
        prefix, module = todo.pop()
        names = archive.state_names(module.qualified)
        if names is None:  # an object that is no module has no part in a state dict
            continue
        visited += 1
        if visited > _MODULE_LIMIT:
            raise RefusedArchive(f"its modules are more than {_MODULE_LIMIT:,}, or contain themselves")
        if not isinstance(module.attributes, dict):
            raise RefusedArchive(f"the attributes of {module.qualified!r} are not named")
        for name, value in module.attributes.items():
            if isinstance(value, _Record):
                todo.append((f"{prefix}{name}.", value))
            elif name in names and isinstance(value, torch.Tensor):
                state[f"{prefix}{name}"] = value
    return state


class _Archive:
    """The parts of an archive, each read when it is asked for."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self.file = file
        self.top = file.namelist()[0].partition("/")[0]
        self.storages: dict[str, torch.Tensor] = {}
        self.classes: dict[str, frozenset[str] | None] = {}
        self.searched = 0

    def text(self, name: str) -> bytes:
        """A part that is no storage."""
        entry = self.file.getinfo(f"{self.top}/{name}")
        if entry.file_size > _TEXT_LIMIT:
            raise RefusedArchive(f"{name} has {entry.file_size:,} bytes, more than {_TEXT_LIMIT:,}")
        return self.file.read(entry)

    def storage(self, key: str, dtype: torch.dtype) -> torch.Tensor:
        """A storage, as a tensor of one dimension; the same tensor each time."""
        if key not in self.storages:
            entry = self.file.getinfo(f"{self.top}/data/{key}")
            if entry.compress_type != zipfile.ZIP_STORED:  # PyTorch stores them as they are, so that they can be mapped
                raise RefusedArchive(f"data/{key} is compressed")
            content = bytearray(self.file.read(entry))
            self.storages[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return self.storages[key].view(dtype)

    def objects(self) -> Any:
        """What data.pkl holds, with a `_Record` for each object of a class of the archive."""
        return _Unpickler(self).load()

    def state_names(self, qualified: str) -> frozenset[str] | None:
        """The names of a module's parameters and buffers, by the qualified name of its class; None for no module."""
        if qualified not in self.classes:
            self.classes[qualified] = self._state_names(*qualified.rsplit(".", 1))
        return self.classes[qualified]

    def _state_names(self, home: str, name: str) -> frozenset[str] | None:
        source = self.text(f"code/{home.replace('.', '/')}.py").decode()
        self.searched += len(source)
        if self.searched > _SEARCH_LIMIT:
            raise RefusedArchive("its sources are too long")
        found = re.search(rf"^class {re.escape(name)}\(Module\):\n((?:[ \t].*\n|\n)*)", source, re.MULTILINE)
        if found is None:
            return None
        body = found[1]
        if re.search(r"^  def __setstate__\(", body, re.MULTILINE):
            raise RefusedArchive(f"{home}.{name} has a __setstate__ of its own, which is not run")
        lists = re.findall(r"^  __(?:parameters|buffers)__ = \[(.*)\]$", body, re.MULTILINE)
        return frozenset(name for names in lists for name in re.findall(r'"([^"]*)"', names))


class _Unpickler(pickle.Unpickler):
    """Unpickles data.pkl of an archive; the functions and classes that it may name are these alone."""

    def __init__(self, archive: _Archive) -> None:
        content = archive.text("data.pkl")
        check_pickle(io.BytesIO(content), len(content))
        super().__init__(io.BytesIO(content))
        self.archive = archive
        self.records: dict[str, type[_Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            qualified = f"{module}.{name}"
            if qualified not in self.records:
                self.records[qualified] = type("_Record", (_Record,), {"qualified": qualified})
            return self.records[qualified]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        allowed = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("collections", "OrderedDict"): _hooks,
            ("torch", "device"): _first,
            ("torch.jit._pickle", "restore_type_tag"): _first,
            **{("torch.jit._pickle", f"build_{kind}list"): _first for kind in ("int", "double", "bool", "tensor")},
        }
        if (module, name) not in allowed:
            raise RefusedArchive(f"it names {f'{module}.{name}'[:100]!r}")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> torch.Tensor:
        kind, dtype, key, _, _ = pid  # the others are the device that it was on, and the number of elements
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise RefusedArchive("it refers to something other than a storage")
        return self.archive.storage(key, dtype)


def _tensor(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: object) -> torch.Tensor:
    """A tensor in a storage; PyTorch raises RuntimeError for one that would reach beyond it."""
    return storage.as_strided(size, stride, offset)


def _hooks() -> dict[str, object]:
    return {}


def _first(value: object, *_: object) -> object:
    return value
