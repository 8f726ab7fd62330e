"""Reading the files that a dataset comes with. The error for a missing one says where to get it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from imo.errors import InputError
from imo.files import read_json


class MissingFile(InputError):
    """A file or folder that a dataset needs is not there."""


def mirrored(path: str, dataset_dir: str, mirrors: Mapping[str, str]) -> str:
    """The path under which a file or folder of a dataset is found.

    Args:
        path: where it usually is.
        dataset_dir: the dataset's folder.
        mirrors: {usual: other}, folders below `dataset_dir`. If `other` is there and `usual` is not, or if `other` lies
            inside `usual`, a path below `usual` becomes the same path below `other`.
    """
    for usual, other in mirrors.items():
        usual, other = (os.path.join(dataset_dir, name) for name in (usual, other))
        inside = other.startswith(f"{usual}{os.sep}")
        if (
            f"{path}{os.sep}".startswith(f"{usual}{os.sep}")
            and os.path.isdir(other)
            and (inside or not os.path.isdir(usual))
        ):
            return other + path[len(usual) :]
    return path


class Annotations:
    """Reads files of a dataset by their names below `dataset_dir`; `SplitDataset` builds on it.

    Attributes:
        dataset_dir: the dataset's folder.
        sources: {file or folder: where to get it}, for error messages.
        mirrors: see `mirrored`.
        reading: path of the file read last, for errors found in its content.
    """

    dataset_dir = ""
    sources: Mapping[str, str] = {}
    mirrors: Mapping[str, str] = {}
    reading = ""

    def mirrored(self, path: str) -> str:
        """The path under which a file or folder is found; see the function of this name."""
        return mirrored(path, self.dataset_dir, self.mirrors)

    def located(self, name: str) -> str:
        """The path of a file or folder.

        Raises:
            MissingFile: it is not there.
        """
        path = self.mirrored(os.path.join(self.dataset_dir, name))
        if not os.path.exists(path):
            raise MissingFile(f"{path}: missing; {self.where(path)}")
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
        rows = csv.DictReader(io.StringIO(self.text(name)))
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
