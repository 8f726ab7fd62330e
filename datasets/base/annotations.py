"""Reading the files that a dataset brings along; what is missing is answered with where to get it."""

import csv
import json
import os

from imo.errors import InputError


class MissingFile(InputError):
    """A file or folder that a dataset needs is not there."""


def mirrored(path, dataset_dir, mirrors):
    """The path of a file or folder of a dataset, under a mirror's spelling where that is what is there."""
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
    """For datasets: `dataset_dir`, `sources` and `mirrors` are set by `SplitDataset`."""

    reading = ""  # the annotation file read last, for errors in its content

    def mirrored(self, path):
        """The path, under a mirror's spelling where that is what is there."""
        return mirrored(path, self.dataset_dir, self.mirrors)

    def located(self, name):
        """The path of a file or folder of the dataset, which must be there."""
        path = self.mirrored(os.path.join(self.dataset_dir, name))
        if not os.path.exists(path):
            raise MissingFile(f"{path}: missing; {self.where(path)}")
        return path

    def where(self, path):
        """Where to get a file or folder of the dataset, in words."""
        name = os.path.relpath(path, self.dataset_dir)
        for key, source in self.sources.items():
            if name == key.rstrip("/") or name.startswith(key.rstrip("/") + os.sep):
                return f"get {key} from {source}; see DATASETS.md"
        return "see DATASETS.md for where to get it"

    def text(self, name):
        """The content of a text file."""
        self.reading = self.located(name)
        with open(self.reading, encoding="utf-8-sig") as file:
            return file.read()

    def lines(self, name):
        """Its lines, stripped, without empty ones."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def json(self, name):
        """The value in a JSON file."""
        return json.loads(self.text(name))

    def csv(self, name, columns):
        """The rows of a CSV file with a header, as dicts; `columns` must be among them."""
        rows = csv.DictReader(self.text(name).splitlines())
        lacking = [column for column in columns if column not in (rows.fieldnames or ())]
        if lacking:
            raise InputError(
                f"{self.reading}: no column {', '.join(lacking)}; expected a first line with {', '.join(columns)}"
            )
        return list(rows)

    def mat(self, name, variable):
        """A variable of a MATLAB file, as a 1-dimensional array."""
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
