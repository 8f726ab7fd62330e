"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from typing import Any

from imo.errors import InputError
from imo.workbench.places import default_folder

FEATURES = "features encoded so far"  # are on disk when an encoding is interrupted, see imo.model.encode


class Folder(argparse.Action):
    """Stores the name of a folder, and refuses an empty one: a shell variable that is not set would mean the current
    folder."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        if not str(values).strip():
            raise InputError(f"{option_string}: empty, which would mean the current folder; name one, or leave it out")
        setattr(namespace, self.dest, values)


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Where data and results lie, and which weights are used."""
    data, output = default_folder("DATA", "data"), default_folder("OUTPUT", "output")
    parser.add_argument("--data", action=Folder, default=data, help="folder of the datasets (default: $DATA, or data)")
    parser.add_argument("--output", action=Folder, default=output, help="of results (default: $OUTPUT, or output)")
    parser.add_argument("--adapter", default="", help="adapter file; by default the one that ships with the backbone")
    parser.add_argument("--backbone", default="", help="CLIP's name or a file; by default the trainer config's")


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Trainers x corrections x shots x seeds on datasets."""
    parser.add_argument(
        "--dataset", "--datasets", dest="datasets", nargs="+", required=True, metavar="NAME",
        help="files of configs/datasets, without .yaml",
    )  # fmt: skip
    parser.add_argument("--trainers", nargs="*", default=[], metavar="NAME", help="default: all that are training-free")
    parser.add_argument("--shots", nargs="+", required=True, help="labelled images a class")
    parser.add_argument("--seeds", nargs="+", default=["1", "2", "3"], help="default: 1 2 3")
    parser.add_argument(
        "--corrections", nargs="*", default=["none"], help="of trainers that leave the choice: none, adapter, isoclip"
    )
    parser.add_argument("--validation", default="", help="DATASET.VALIDATION: full, few, paper or support")
    parser.add_argument("--cfg", default="", help="name of the trainers' config; by default the dataset's DATASET.CFG")
    add_place_arguments(parser)
