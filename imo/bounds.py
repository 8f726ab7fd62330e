"""Bounds on what reading a small file may make of it: a few kilobytes can stand for gigabytes, or for hours of work."""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch

_PARTS = 10_000_000  # of the objects in a pickle, each counted as often as it is referred to
_DEPTH = 200  # of containers in containers
_FILL = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")  # opcodes that change the first they take
_SLACK = 1 << 28  # bytes that what is read may take beyond twice the size of its file


def check_pickle(file: BinaryIO, size: int) -> None:
    """Read over a pickle up to its end, without making any object.

    Unpickling hashes dictionary keys, and printing shows all there is: both take forever where a tuple holds another
    twice, which holds another twice, and so on.

    Args:
        file: at the beginning of the pickle.
        size: of the pickle in bytes, or a little more.

    Raises:
        ValueError: it is no pickle, or what it makes has too many parts or is nested too deeply.
        IndexError, KeyError: it is no pickle.
    """
    stack: list[list[int]] = []  # of each object, how many parts it has, and how deep they are nested
    marks: list[int] = []  # places in the stack
    memo: dict[int, list[int]] = {}
    for opcode, argument, _ in pickletools.genops(file):
        name, before = opcode.name, opcode.stack_before
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            place = len(memo) if argument is None else int(argument)
            if place > size:  # Python's memo is an array up to the greatest place
                raise ValueError(f"a pickle of {size:,} bytes with {place:,} places")
            memo[place] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument or 0)])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "MARK":
            marks.append(len(stack))
        else:
            marked = pickletools.markobject in before
            cut = marks.pop() - before.index(pickletools.markobject) if marked else len(stack) - len(before)
            taken, stack[cut:] = stack[cut:], []
            made = taken.pop(0) if name in _FILL else [1, 1]
            made[0] += sum(parts for parts, _ in taken)
            made[1] = max([made[1], *(1 + depth for _, depth in taken)])
            if made[0] > _PARTS or made[1] > _DEPTH:
                raise ValueError("a pickle that would grow beyond all measure")
            stack += [made] * len(opcode.stack_after)


def check_parts(archive: zipfile.ZipFile, size: int) -> None:
    """Raise ValueError if the parts of a zip file together are much larger than the file, of `size` bytes."""
    total = sum(part.file_size for part in archive.infolist())
    if total > 2 * size + _SLACK:
        raise ValueError(f"its parts are said to have {total:,} bytes, the file has {size:,}")


def read_pickled(archive: zipfile.ZipFile, part: zipfile.ZipInfo, size: int) -> bytes:
    """A pickle in a zip file of `size` bytes; ValueError if it is much larger. PyTorch does not compress it."""
    if part.file_size > 2 * size + (1 << 20):
        raise ValueError(f"{part.filename} is said to have {part.file_size:,} bytes, the file has {size:,}")
    return archive.read(part)


def load_tensors(path: str | Path, map_location: Any = "cpu") -> Any:
    """What `torch.save` wrote, of tensors and built-in types alone, so that no code in the file is run.

    Raises:
        ValueError: what is in the file is far larger than the file.
        Exception: `torch.load` raises nearly anything for a damaged file.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        if zipped:
            with zipfile.ZipFile(file) as archive:
                check_parts(archive, size)
                for part in archive.infolist():
                    if part.filename.endswith(".pkl"):
                        check_pickle(io.BytesIO(read_pickled(archive, part, size)), part.file_size)
        else:
            for _ in range(5):  # as PyTorch wrote before 1.6: three of its own, the object, names of storages
                if file.tell() < size:
                    check_pickle(file, size)
    content = torch.load(path, map_location=map_location, weights_only=True)
    check_tensors(content, size)
    return content


def check_tensors(content: Any, size: int) -> None:
    """Raise ValueError if the tensors in a file of `size` bytes together are much larger: one number may be said to
    be repeated any number of times."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content))
    if total > 2 * size + _SLACK:
        raise ValueError(f"its tensors are said to have {total:,} bytes, the file has {size:,}")


def _tensors(content: Any) -> Iterator[torch.Tensor]:
    todo, seen = [content], set()
    while todo:
        value = todo.pop()
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            todo.extend(value.values() if isinstance(value, dict) else value)
