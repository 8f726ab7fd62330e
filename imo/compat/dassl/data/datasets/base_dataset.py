"""A data set: its items, and its parts for training, validation and test."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from ...utils import check_isfile


class Datum:
    """An image file with its labels; read-only.

    Raises:
        TypeError: impath is not a string.
        FileNotFoundError: there is no such file.
    """

    # CoOp keeps few-shot splits as pickles of this class, so its module and its fields have the original's names.
    def __init__(self, impath: str = "", label: int = 0, domain: int = 0, classname: str = "") -> None:
        if not isinstance(impath, str):
            raise TypeError(f"impath must be a string, but got {type(impath).__name__}")
        if not check_isfile(impath):
            raise FileNotFoundError(f'No image at "{impath}"')
        self._impath = impath
        self._label = label
        self._domain = domain
        self._classname = classname

    impath = property(attrgetter("_impath"), doc="The path of the image.")
    label = property(attrgetter("_label"), doc="The number of the class.")
    domain = property(attrgetter("_domain"), doc="The number of the domain.")
    classname = property(attrgetter("_classname"), doc="The name of the class.")


class DatasetBase:
    """The parts of a data set: train_x (labelled), train_u (unlabelled), val and test."""

    dataset_dir = ""  # the folder of the data set

    def __init__(
        self,
        train_x: Sequence[Datum],
        train_u: Sequence[Datum] | None = None,
        val: Sequence[Datum] | None = None,
        test: Sequence[Datum] | None = None,
    ) -> None:
        self._train_x, self._train_u, self._val, self._test = train_x, train_u, val, test
        self._num_classes = self.get_num_classes(train_x)
        self._lab2cname, self._classnames = self.get_lab2cname(train_x)

    train_x = property(attrgetter("_train_x"), doc="Labelled training items.")
    train_u = property(attrgetter("_train_u"), doc="Training items without labels, or None.")
    val = property(attrgetter("_val"), doc="Validation items, or None.")
    test = property(attrgetter("_test"), doc="Test items, or None.")
    lab2cname = property(attrgetter("_lab2cname"), doc="{label: class name}.")
    classnames = property(attrgetter("_classnames"), doc="The class names in order of their labels.")
    num_classes = property(attrgetter("_num_classes"), doc="The number of classes.")

    @staticmethod
    def get_num_classes(data_source: Sequence[Datum]) -> int:
        """The number of classes of some items: one more than the highest label."""
        return int(max(item.label for item in data_source)) + 1

    @staticmethod
    def get_lab2cname(data_source: Sequence[Datum]) -> tuple[dict[int, str], list[str]]:
        """{label: class name} of some items, and the class names in order of their labels."""
        mapping = {item.label: item.classname for item in data_source}
        return mapping, [mapping[label] for label in sorted(mapping)]

    def generate_fewshot_dataset(
        self, *data_sources: Sequence[Datum], num_shots: int = -1, repeat: bool = False
    ) -> Any:
        """Draw num_shots items of each class from each source, by Python's global generator.

        Args:
            data_sources: lists of items.
            num_shots: items a class; below 1, the sources are returned as they are.
            repeat: draw with replacement from a class that has fewer items; else all of its items are taken.

        Returns:
            For one source, a list of items; for several, a list of such lists.
        """
        if num_shots < 1:
            return data_sources[0] if len(data_sources) == 1 else data_sources
        print(f"Creating a {num_shots}-shot dataset")
        output = []
        for source in data_sources:
            chosen: list[Datum] = []
            for items in self.split_dataset_by_label(source).values():
                if len(items) >= num_shots:
                    chosen += random.sample(items, num_shots)
                else:
                    chosen += random.choices(items, k=num_shots) if repeat else items
            output.append(chosen)
        return output[0] if len(output) == 1 else output

    def split_dataset_by_label(self, data_source: Sequence[Datum]) -> dict[int, list[Datum]]:
        """{label: items}, classes in order of their first item."""
        groups: dict[int, list[Datum]] = defaultdict(list)
        for item in data_source:
            groups[item.label].append(item)
        return groups
