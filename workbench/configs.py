"""Config files: the ones of this project found by name, and files that hold only what differs from another file.

A file names the one that it builds on in its first line, `_BASE_: ../../backbones/vit_b16.yaml`, by a path from its own
folder (the convention of detectron2). Settings that all trainers share on a backbone stand in configs/backbones; a
folder configs/trainers/<Trainer> is there for trainers with settings of their own.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from imo.compat.plugins import PREFIX
from imo.errors import InputError, reason
from imo.workbench import places

BASE = "_BASE_"
_LONGEST, _DEEPEST = 100_000, 20  # characters of a file, and blocks in blocks; those here have 700, and 4


class LayeredCfg(CfgNode):  # type: ignore[misc]  # yacs has no types
    """A config whose `merge_from_file` reads the files that a file builds on first, and which knows what files and
    options have set."""

    def given(self) -> dict[str, Any]:
        """The settings that files and options have made, by dotted name."""
        found: dict[str, Any] = self.__dict__.setdefault("__given__", {})
        return found

    def merge_from_list(self, cfg_list: Sequence[Any]) -> None:
        """As yacs.

        Raises:
            InputError: a flag among the pairs, which the command line has taken for one of their names.
        """
        flag = next((name for name in cfg_list[::2] if str(name).startswith("--")), None)
        if flag:
            raise InputError(f"{flag}: comes after KEY VALUE pairs; put flags before {cfg_list[0]}")
        super().merge_from_list(cfg_list)
        self._note(cfg_list[::2])

    def overruled(self) -> dict[str, tuple[Any, Any]]:
        """Settings that files or options have made and that are now others, as (made, now), by dotted name."""
        now = {name: self._get(name) for name in self.given()}
        return {name: (made, now[name]) for name, made in self.given().items() if made != now[name]}

    def _note(self, names: Iterable[str]) -> None:
        self.given().update({name: self._get(name) for name in names})

    def _get(self, name: str) -> Any:
        return functools.reduce(dict.__getitem__, name.split("."), self)

    def merge_from_file(self, cfg_filename: str | Path) -> None:
        """Merge a file over this config, after the files that it builds on.

        A file that is not there is looked for among this project's (see `resolve`). Its name, without folder and
        ending, is noted: in DATASET.TITLE if the file names a dataset, else in IMO.CFG.

        Raises:
            InputError: a file is missing, no YAML, builds on itself, or has a setting that the config does not have.
        """
        files = chain(cfg_filename)
        for file, content in files:
            try:
                self.merge_from_other_cfg(CfgNode(content))
            except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:  # what yacs raises
                said = " ".join(str(error).split())  # yacs's own sentence, whatever the kind of error
                raise InputError(f"{file}: {said}; mend the name or the value") from error
            self._note(_leaves(content))
        names_dataset = any((content.get("DATASET") or {}).get("NAME") for _, content in files)
        node, key = ("DATASET", "TITLE") if names_dataset else ("IMO", "CFG")
        if key in self.get(node, {}):
            self[node][key] = Path(cfg_filename).stem

    @classmethod
    def _decode_cfg_value(cls, value: Any) -> Any:
        """As yacs, whose own would make the nodes below this one `LayeredCfg` too, and refuse them for their type."""
        return CfgNode._decode_cfg_value(value)


def _leaves(content: dict[str, Any]) -> Iterator[str]:
    """The dotted names of a file's settings."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from (f"{name}.{below}" for below in _leaves(value))
        else:
            yield name


def layered(cfg: CfgNode) -> None:
    """Make a config a `LayeredCfg`, in place."""
    object.__setattr__(cfg, "__class__", LayeredCfg)  # yacs takes an assignment for a setting


def chain(path: str | Path) -> list[tuple[Path, dict[str, Any]]]:
    """(file, its content) of a file and all that it builds on, the deepest base first.

    Raises:
        InputError: a file is missing or no YAML, or the files build on each other in a circle.
    """
    file, found, seen = _existing(path, "see configs/ for what there is"), [], []
    while True:
        seen.append(file.resolve())
        content = _read(file)
        base = content.pop(BASE, None)
        found.append((file, content))
        if base is None:
            return found[::-1]
        if not isinstance(base, str):
            raise InputError(f"{file}: {BASE}: expected the path of one file, got {base!r}")
        base = _existing(file.parent / base, f"mend {BASE} in {file}")
        if base.resolve() in seen:
            raise InputError(f"{file}: {BASE}: {base} builds on this file itself; break the circle")
        file = base


def _existing(path: str | Path, remedy: str) -> Path:
    file = Path(path) if Path(path).is_file() else resolve(path)
    if file is None:
        raise InputError(f"no such file: {path}; {remedy}")
    return file


def _read(file: Path) -> dict[str, Any]:
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise InputError(f"{file}: expected a file that ends with .yaml or .yml; code is not read as a config")
    try:
        text = file.read_text(encoding="utf-8")
        _bounded(text)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{file}: not YAML, or more than is read ({reason(error)}); mend the file") from error
    if not isinstance(content, dict | None):
        raise InputError(f"{file}: expected settings, NAME: value, got {type(content).__name__}; mend the file")
    return content or {}


def _bounded(text: str) -> None:
    """Raise ValueError for YAML that could take forever to read, or stand for any amount of settings."""
    depth = 0
    if len(text) > _LONGEST:
        raise ValueError(f"{len(text):,} characters")
    for token in yaml.scan(text):
        depth += token.id.endswith(("start>", "[", "{")) - token.id.endswith(("end>", "]", "}"))
        if isinstance(token, yaml.AliasToken):
            raise ValueError("an alias, *name, which could stand for any amount; write out what it stands for")
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")


def resolve(path: str | Path) -> Path | None:
    """The file of this project that `path` names from `configs/` on; None where there is none.

    `configs/trainers/<Trainer>/<cfg>.yaml` need not exist: it is what `trainer_config` gives, for a trainer of ours. As
    long as Dassl is not loaded, nobody knows whose trainer that is, and any name will do.
    """
    parts = Path(os.path.normpath(path)).parts
    if "configs" not in parts:
        return None
    parts = parts[len(parts) - parts[::-1].index("configs") :]
    file = places.CONFIGS.joinpath(*parts)
    if file.is_file():
        return file
    if len(parts) != 3 or parts[0] != "trainers" or ("dassl.engine" in sys.modules and _trainer(parts[1]) is None):
        return None
    try:
        return trainer_config(parts[1], file.stem)
    except InputError:
        return None


def trainer_config(trainer: str, cfg: str) -> Path:
    """The file with a trainer's settings.

    It is in the trainer's own folder, else in that of the trainer that it corrects (TipAdapterF for TipAdapterFPP). A
    trainer without either has no settings of its own, and takes the backbone's.

    Raises:
        InputError: no such file, with the names there are; a trainer that has a folder takes nothing from elsewhere.
    """
    for name in (trainer, getattr(_trainer(trainer), "base_name", None)):
        if name and (places.CONFIGS / "trainers" / name).is_dir():
            return _named("CFG", f"trainers/{name}", cfg)
    return _named("CFG", "backbones", cfg)


def dataset_config(name: str) -> Path:
    """The file of a dataset.

    Raises:
        InputError: no such file, with the names there are.
    """
    return _named("DATASET", "datasets", name)


def _named(option: str, folder: str, name: str) -> Path:
    path = places.CONFIGS / folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise InputError(f"{option}: no {name}.yaml in configs/{folder}; there are: {known}")
    return path


def _trainer(name: str) -> type[Any] | None:
    """Our trainer of that name in Dassl's registry; None where there is none, or only somebody else's."""
    if "dassl.engine" not in sys.modules:
        return None
    from dassl.engine import TRAINER_REGISTRY

    from imo.trainers.base.clip_trainer import ClipTrainer

    known = TRAINER_REGISTRY.registered_names()
    kinds = [TRAINER_REGISTRY.get(entry) for entry in (PREFIX + name, name) if entry in known]
    return next((kind for kind in kinds if issubclass(kind, ClipTrainer)), None)
