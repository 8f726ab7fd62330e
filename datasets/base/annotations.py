"""Reading the files that a dataset comes with. The error for a missing one says where to get it."""

from __future__ import annotations

import csv
import functools
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from imo.errors import InputError
from imo.files import read_json


class MissingFile(InputError):
    """A file or folder that a dataset needs is not there."""


def found_at(path: str, dataset_dir: str, mirrors: Mapping[str, str]) -> str:
    """The path under which a file or folder of a dataset is found; `path` itself if it is nowhere.

    Copies of a dataset are laid out in many ways. Let <name> be the first part of `path` below `dataset_dir`. A folder
    <name> may lie in another <name>. If there is none, it is looked for under its other name in `mirrors`, in the
    folders of `dataset_dir` (an archive unpacked in a folder of its own) and, for images in class folders, in these
    places without <name>. Where several folders have it, none is taken.

    Args:
        path: where it usually is.
        dataset_dir: the dataset's folder.
        mirrors: {usual name: other name}.
    """
    name, _, rest = path[len(dataset_dir) + 1 :].partition(os.sep)
    if not path.startswith(dataset_dir + os.sep) or not os.path.isdir(dataset_dir):
        return path
    usual = os.path.join(dataset_dir, name)
    if os.path.exists(usual):
        inner = os.path.join(usual, name, rest).rstrip(os.sep)
        return inner if os.path.exists(inner) and (not os.path.exists(path) if rest else os.path.isdir(inner)) else path
    wrappers = [entry.path for entry in os.scandir(dataset_dir) if entry.is_dir() and entry.name[0] != "."]
    ends = [name, *([mirrors[name]] if name in mirrors else []), *([""] if os.path.dirname(rest) else [])]
    for folders in ([dataset_dir], wrappers):
        for end in ends:
            places = [os.path.join(folder, end, rest).rstrip(os.sep) for folder in folders]
            there = [place for place in places if os.path.exists(place)]
            if len(there) == 1:
                return there[0]
    return path


def _instead(path: str) -> str:
    """What is in the folder in which a file or folder is missing, in words, the first few."""
    while path != os.path.dirname(path) and not os.path.isdir(path):
        path = os.path.dirname(path)
    there = sorted(f"{e.name}{'/' if e.is_dir() else ''}" for e in os.scandir(path) if e.name[0] != ".")
    return f"; {path} has {', '.join(there[:5])}{f' and {len(there) - 5:,} more' if there[5:] else ''}" if there else ""


class Annotations:
    """Reads files of a dataset by their names below `dataset_dir`; `SplitDataset` builds on it.

    Attributes:
        dataset_dir: the dataset's folder.
        sources: {file or folder: where to get it}, for error messages.
        mirrors: see `found_at`.
        reading: path of the file read last, for errors found in its content.
    """

    dataset_dir = ""
    sources: Mapping[str, str] = {}
    mirrors: Mapping[str, str] = {}
    reading = ""

    @functools.cached_property
    def _homes(self) -> dict[str, str]:
        """{first part of a path below `dataset_dir`: the folder or file that stands for it}, as found so far."""
        return {}

    def mirrored(self, path: str) -> str:
        """The path under which a file or folder is found; see `found_at`. The first of a folder decides for all."""
        name, _, rest = path[len(self.dataset_dir) + 1 :].partition(os.sep)
        if not path.startswith(self.dataset_dir + os.sep):
            return path
        if name not in self._homes:
            found = found_at(path, self.dataset_dir, self.mirrors)
            if found == path and not rest:
                return path
            self._homes[name] = found[: len(found) - len(rest)].rstrip(os.sep)
        home = self._homes[name]
        if home.startswith(os.path.join(self.dataset_dir, name)) and path.startswith(home):  # has been found already
            return path
        return os.path.join(home, rest).rstrip(os.sep)

    def located(self, name: str) -> str:
        """The path of a file or folder.

        Raises:
            MissingFile: it is not there.
        """
        path = self.mirrored(os.path.join(self.dataset_dir, name))
        if not os.path.exists(path):
            raise MissingFile(f"{path}: missing; {self.where(path)}{_instead(path)}")
        return path

    def where(self, path: str) -> str:
        """Where to get a file or folder, in words."""
        name = os.path.relpath(path, self.dataset_dir)
        for key, source in self.sources.items():
            if name == key.rstrip("/") or name.startswith(key.rstrip("/") + os.sep):
                return f"get {key} from {source}; see DATASETS.md"
        return "see DATASETS.md for where to get it"

    def text(self, name: str) -> str:
        """The content of a text file."""
        self.reading = self.located(name)
        with open(self.reading, encoding="utf-8-sig") as file:
            return file.read()

    def lines(self, name: str) -> list[str]:
        """The lines of a text file, without surrounding spaces and without empty lines."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def json(self, name: str) -> Any:
        """The content of a JSON file."""
        self.reading = self.located(name)
        return read_json(self.reading, Any, "broken", f"get it anew: {self.where(self.reading)}")

    def csv(self, name: str, columns: Sequence[str]) -> dict[int, dict[str, str]]:
        """The rows of a CSV file as {number of its line: {column: value}}.

        Raises:
            InputError: the first line does not name all of `columns`.
        """
        rows = csv.DictReader(io.StringIO(self.text(name), newline=""))
        lacking = [column for column in columns if column not in (rows.fieldnames or ())]
        if lacking:
            raise InputError(
                f"{self.reading}: no column {', '.join(lacking)}; expected a first line with {', '.join(columns)}"
            )
        return {rows.line_num: row for row in rows}  # noqa: B035  # which grows with each row

    def mat(self, name: str, variable: str) -> npt.NDArray[Any]:
        """A variable of a MATLAB file, as a 1-dimensional array.

        Raises:
            InputError: scipy is not installed.
            ValueError: the file is broken or has no such variable.
        """
        self.reading = self.located(name)
        try:
            import numpy as np
            from scipy.io import loadmat
        except ImportError as error:
            raise InputError(f"{self.reading}: cannot be read without scipy; pip install scipy") from error
        try:
            return np.atleast_1d(loadmat(self.reading, squeeze_me=True)[variable])
        except Exception as error:  # scipy raises many kinds
            raise ValueError(str(error)) from error
