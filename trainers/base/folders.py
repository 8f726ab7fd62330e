"""A run's output folder: whether the run is finished, whose state it holds, and what is removed to start anew."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from dassl.utils import load_checkpoint
from torch import nn

from imo.errors import InputError, reading
from imo.files import drop_leftovers, refuse_links
from imo.results import FILE_NAME, Result, read_result
from imo.trainers.base.inputs import Inputs, differences, fingerprint, is_of_method, is_of_training

LATEST = "checkpoint"  # Dassl's note, in a model's folder, of the newest checkpoint there
REMEDY = "choose another --output-dir (OUTPUT for scripts), or remove it, or start anew in it with IMO.REDO True"


def finished(folder: str | Path, settings: Inputs, data: Callable[[], Inputs]) -> Result | None:
    """The result in a run's output folder, if it is the one that would be found again; else None. Where there is one
    that data or code have left behind, a line says why. What killed processes left in the folder goes.

    Args:
        folder: the output folder.
        settings: what `settings_of` gives for the run that is asked for.
        data: gives the digests of its data; called where the settings are those of the result.

    Raises:
        InputError: the result is damaged, or of other settings or weights; it is neither used nor overwritten.
    """
    for place in (Path(folder), *Path(folder).glob("*")):  # and in those of its models
        drop_leftovers(str(place))
    result = read_result(folder)
    if result is None:
        return None
    changed = differences(result.options, settings)
    if not result.options:
        why = "by an earlier version, which did not note what results depend on"
    elif result.options.get("NUMBERS_VERSION") != settings["NUMBERS_VERSION"]:
        why = f"by a version whose figures differ ({changed})"
    elif result.settings != fingerprint(settings):
        raise InputError(f"{folder}: finished with other settings or weights ({changed}); {REMEDY}")
    elif changed := differences(result.data, data()):
        why = f"with {changed}"
    else:
        return result
    print(f"{folder}: was done {why}; it is done again")
    return None


def withdraw(folder: str | Path, models: Sequence[str]) -> None:
    """Remove what a run has left in its output folder: its results before the states of these models.

    Raises:
        InputError: a folder to remove from is a link.
    """
    folder = Path(folder)
    left = [folder / name for name in (FILE_NAME, "surface.npz", "adapter.safetensors")]
    for name in models:
        refuse_links(folder / name, folder)
        left += [folder / name / LATEST, *(folder / name).glob("model*.pth.tar*")]
    for path in left:
        path.unlink(missing_ok=True)


class Record(nn.Module):
    """Keeps in a model's checkpoints what its run depends on. It is read by `recorded` and not loaded, so that
    checkpoints of other projects, which have none, are loaded, too.

    Args:
        inputs: gives it.
    """

    def __init__(self, inputs: Callable[[], Inputs]) -> None:
        super().__init__()
        self.inputs = inputs

    def get_extra_state(self) -> Inputs:
        """What checkpoints hold."""
        return self.inputs()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        pass


def latest(folder: Path) -> Path:
    """The newest checkpoint in a model's folder."""
    return folder / Path((folder / LATEST).read_text(encoding="utf-8").strip()).name


def recorded(path: str | os.PathLike[str]) -> Inputs:
    """What the run of a checkpoint depended on; empty for a checkpoint of another project.

    Raises:
        InputError: the checkpoint holds NaN or infinity.
    """
    state = load_checkpoint(str(path))["state_dict"]
    for name in _not_finite(state, ""):
        raise InputError(f"{path}: {name} is NaN or infinite; train again")
    found = state.get("record._extra_state") or state.get("_extra_state", {}).get("about", {}).get("inputs") or {}
    return {str(name): str(value) for name, value in found.items()}


def compare_state(folder: str, found: Inputs, now: Inputs) -> None:
    """Say where the state in a folder was made with other options than those of the run that tests it.

    Args:
        folder: for messages.
        found: what `recorded` gives.
        now: of the run.

    Raises:
        InputError: it is of another method, of other options of the method, or of other weights.
    """
    if changed := differences(found, now if found else {}, is_of_method):
        raise InputError(
            f"--model-dir: {folder} holds the state of another trainer, backbone, adapter or correction, or of other "
            f"options ({changed}); give a folder of this one"
        )
    if changed := differences(found, now if found else {}, is_of_training):
        print(f"The state in {folder} was made with other options, and is tested as it is: {changed}")


def compare_half_done(folder: str, found: Inputs, now: Inputs, remedy: str) -> None:
    """Hold what `recorded` gives of the half-done run in a folder against the run that would go on with it.

    Raises:
        InputError: they differ, or nothing is recorded.
    """
    changed = differences(found, now) if found else "which ones is not recorded"
    if changed:
        raise InputError(f"{folder}: holds a half-done run with other settings or weights ({changed}); {remedy}")


def checkpoint_errors(what: str, remedy: str) -> contextlib.AbstractContextManager[None]:
    """What reading a checkpoint raises within the block is told as an InputError: `what` is damaged or does not fit."""
    return reading(f"{what} is damaged or does not fit", remedy)


def _not_finite(value: Any, name: str) -> Iterator[str]:
    """Names of the tensors and numbers in nested containers that are not finite."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _not_finite(below, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _not_finite(below, name)
    elif isinstance(value, float | torch.Tensor) and not torch.isfinite(torch.as_tensor(value)).all():
        yield name
