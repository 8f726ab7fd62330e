"""`imo datasets document`: DATASETS.md, from what the datasets declare."""

from __future__ import annotations

import inspect
from pathlib import Path
from string import Template

from imo.datasets.base import SplitDataset
from imo.datasets.tool.check import declared, published, words

TEMPLATE = Path(__file__).with_name("datasets.md")  # all that is not declared by a dataset


def document() -> str:
    """The text of DATASETS.md."""
    kinds = declared()
    made = [name for name in kinds if name not in published() and name != "Folder"]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        published="\n\n".join(section(name, kinds[name]) for name in published()),
        folder=described(kinds["Folder"]),
        made="\n".join(f"* **{name}** (`{yaml(kinds[name])}`): {summary(kinds[name])}" for name in made),
    )


def yaml(kind: type[SplitDataset]) -> str:
    """The name of a dataset's config, which is that of its module."""
    return kind.__module__.rpartition(".")[2]


def summary(kind: type[SplitDataset]) -> str:
    """The first line of the docstring of a dataset's module."""
    return described(inspect.getmodule(kind)).splitlines()[0]


def described(thing: object) -> str:
    """The docstring of a class or module, without indentation."""
    return inspect.cleandoc(thing.__doc__ or "")


def section(name: str, kind: type[SplitDataset]) -> str:
    """The section on a published dataset: what it is, its sizes and prompts, and where to get each file."""
    lines = [f"### {name}\n", f"{summary(kind)} {' '.join(described(kind).split())}\n"]
    lines += [f"* config `{yaml(kind)}`, folder `{kind.dataset_dir}/`"]
    if kind.sizes:
        lines += [f"* {words(kind.sizes)}"]
    lines += [
        f"* {'templates' if len(kind.templates) > 1 else 'template'} {', '.join(f'`{t}`' for t in kind.templates)}"
    ]
    if kind.torchvision:
        lines += [f"* fetched by `prepare {name}`: {', '.join(f'`{to}`' for to in kind.torchvision.moves.values())}"]
    if kind.fallback is not SplitDataset.fallback and kind.split_file:
        lines += [f"* without `{kind.split_file}` the split is computed"]
    lines += [f"* `{other}` is accepted in place of `{usual}`" for usual, other in kind.mirrors.items()]
    lines += [f"* `{path}/` cannot be used: {why}" for path, why in kind.unfit.items()]
    rows = [f"| `{path}` | {source} |" for path, source in kind.sources.items()]
    return "\n".join([*lines, "", "| file or folder | where to get it |", "|---|---|", *rows])
