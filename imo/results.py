"""What a run leaves behind: `results.json`, typed and versioned, written last and whole, so a run that has one is done.

A result says what it is. Readers take every fact from its fields, never from a trainer's name or a folder's spelling.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from imo.classify.search import SearchResult
from imo.errors import InputError, reading, shown
from imo.files import atomic_path, read_json, write_json
from imo.measure.overlap import OverlapReport
from imo.protocol import Protocol

FILE_NAME = "results.json"
SCHEMA_VERSION = 2
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]  # what a float still tells apart
_AGAIN = "remove the run's folder and run it again"


class Prompts(msgspec.Struct, frozen=True, kw_only=True):
    """The texts that classes were named by.

    Attributes:
        templates: with `{}` for the class name; empty for a learnt prompt.
        unknown_words: prompt words that mean nothing to the backbone.
    """

    templates: tuple[str, ...] = ()
    unknown_words: tuple[str, ...] = ()


class AdapterTraining(msgspec.Struct, frozen=True, kw_only=True):
    """What a run that trained adapters measured.

    Attributes:
        overlap: of the test images, before ("none") and after ("adapter").
        loss_curve: [step, mean loss since the entry before] pairs.
        held_out_classes: labels that were not trained on.
        held_out_overlap: one entry an epoch: epoch, area, separation.
    """

    overlap: dict[str, OverlapReport]
    loss_curve: list[tuple[int, float]]
    held_out_classes: list[int] = []
    held_out_overlap: list[dict[str, float]] = []


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One finished run.

    Attributes:
        kind: "method", or "adapter" for a run that trained a correction; the accuracy of the latter is that of a head
            that is thrown away, and no table compares it.
        trainer: the name that was asked for.
        method: what tables call it: the method, and its correction where the name does not say it.
        base: the method that a corrected one is compared with; None without correction.
        correction: of the image features: "none", "adapter" or "isoclip".
        cfg: name of the trainer's config file; empty where none was given.
        dataset: what was tested on; with the corruption, if any.
        trained_on: the dataset that the state was made on.
        backbone, backbone_sha256, adapter_sha256: the weights, by name and by content; no adapter sha256 without one.
        shots: labelled images a class; 0 for methods without, -1 for all data.
        accuracy, macro_f1, val_accuracy: percent.
        n_test: number of test images; None for a mean over datasets.
        protocol: on what hyper-parameters were chosen; `tuned_on` is the same in words.
        transductive: whether the prediction for one test image depends on the others.
        prompts: the texts that classes were named by.
        data: by part (support, val, test), a digest of its image paths, labels and class names; of all image files'
            size and time of change (files), of the prompts, and of the state that a test alone took.
        overlap: of the tuning images under the correction, where it was measured.
        training: for runs that trained adapters.
        seconds: by stage.
        images_encoded: number of views that had to be encoded, by encoder.
        options: all options and weights that the result depends on, by name, and NUMBERS_VERSION of the code.
        settings: digest of them.
        versions: of the packages that numbers depend on.
    """

    schema_version: Literal[2] = 2
    kind: Literal["method", "adapter"] = "method"
    trainer: str
    method: str
    base: str | None
    correction: str
    cfg: str
    dataset: str
    trained_on: str
    backbone: str
    backbone_sha256: str
    adapter_sha256: str | None
    shots: Annotated[int, msgspec.Meta(ge=-1, lt=1 << 53)]
    seed: Annotated[int, msgspec.Meta(gt=-(1 << 53), lt=1 << 53)]
    accuracy: Percent
    macro_f1: Percent
    n_test: Count | None
    protocol: Protocol
    tuned_on: str
    transductive: bool = False
    hyper_parameters: dict[str, float] = {}
    val_accuracy: Percent | None = None
    prompts: Prompts = Prompts()
    data: dict[str, str] = {}
    overlap: OverlapReport | None = None
    training: AdapterTraining | None = None
    seconds: dict[str, float] = {}
    images_encoded: dict[str, Count] = {}
    options: dict[str, str] = {}
    settings: str
    versions: dict[str, str] = {}


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("clip-imo", "torch", "torchvision", "clip-anytorch", "numpy", "dassl"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_result(folder: str | Path, result: Result) -> Path:
    """Write a run's result into its output folder; returns the file's path.

    Raises:
        msgspec.ValidationError: a field has another type or range than `Result` says, as NaN has; nothing is written.
    """
    return write_json(Path(folder) / FILE_NAME, result, indent=2)


def read_result(folder: str | Path) -> Result | None:
    """A finished run's result; None where there is none.

    Raises:
        InputError: the file is damaged, or of another version of this project.
    """
    path = Path(folder) / FILE_NAME
    if not os.path.lexists(path):
        return None
    found = read_json(path, dict[str, Any], "damaged", _AGAIN)
    schema = found.get("schema_version")
    if schema != SCHEMA_VERSION:
        raise InputError(
            f"{path}: results of another version (schema {schema}, this is {SCHEMA_VERSION}); remove the run's folder, "
            f"or set OUTPUT to another"
        )
    with reading(f"{path}: damaged", _AGAIN):
        return msgspec.convert(shown(found), Result)


def find_results(root: str | Path) -> Iterator[tuple[str, Result | InputError]]:
    """Find every results.json below a folder.

    Yields:
        The run's folder, relative to `root`, and the result or the reason why it cannot be read; in the order of paths.
    """
    for path in sorted(Path(root).rglob(FILE_NAME)):
        place = path.parent.relative_to(root).as_posix()
        try:
            found = read_result(path.parent)
        except InputError as error:
            yield place, error
            continue
        if found is not None:
            yield place, found


def write_surface(folder: str | Path, found: SearchResult) -> Path:
    """Write a search's whole surface beside the results, as surface.npz, for plots.

    Arrays: alphas (A,), betas (B,), gammas (G,), correct (A, B, G) int32 number of right samples, n () samples.
    """
    path = Path(folder) / "surface.npz"
    grid = found.grid
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {"alphas": grid.alphas, "betas": grid.betas, "gammas": grid.gammas}
        np.savez_compressed(file, correct=found.correct.astype(np.int32), n=found.samples, **arrays)
    return path
