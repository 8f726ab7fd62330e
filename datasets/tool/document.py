"""`imo datasets document`: DATASETS.md, from what the datasets declare."""

from __future__ import annotations

import inspect

from imo.datasets.base import SplitDataset
from imo.datasets.tool.check import declared, published, words

HEAD = """\
# Datasets

Written by `imo datasets document` from the files in `datasets/`; edit those.

All datasets lie in folders below one data root, laid out as CoOp has them, so a root that CoOp uses can be used as it
is. These commands say which datasets are complete, what is missing and where to get it:

    imo datasets check --root DATA              # every dataset, or some by name
    imo datasets prepare OxfordPets --root DATA # fetches what torchvision can fetch

Sizes are classes, then training / validation / test images. A file on Google Drive is fetched by `gdown <id> -O <file>`
(`pip install gdown`).

**Splits.** The split files are CoOp's, so that results can be compared. If one is missing, the split is computed from
the dataset's own files, for those datasets of which the list below says so. It is the same in every run, but it is not
CoOp's, and it is not written to disk. A path in a split that leads out of the dataset's folder (`../../x`, `/x`) is
refused. Links in the folder are followed, wherever they lead: a folder of images may be a link to another disk.

**Few-shot subsets** are CoOp's for the same seed and split file: for each class in order of appearance
`random.sample`, training images first, then min(K, 4) validation images. They are kept as
`split_fewshot/shot_<K>-seed_<S>-<validation>.json` in the dataset's folder. If CoOp's own `shot_<K>-seed_<S>.pkl` is
there, it is used instead. On ImageNet only that file gives CoOp's subset, which depends on the order in which CoOp's
disk listed its files. A file that is not what its name says, min(K, class size) training images of each class and the
validation images of the protocol, is not used: ours is drawn again, CoOp's is refused.

**Validation** (`DATASET.VALIDATION`; each result says what it was tuned on):

| option | validation images |
|---|---|
| `full` | the whole validation split (default; the IMO authors') |
| `few` | min(K, 4) a class (CoOp's) |
| `paper` | `full`; but ImageNet is tuned on its test set, as published figures are |
| `support` | none: methods tune on the support set, each image left out in turn ([how](docs/PROTOCOLS.md)) |

ImageNet has no validation split: `full` holds out 10 training images a class, `few` min(K, 4), none of them in the
run's support set.

**Distribution shift.** `bash scripts/shift.sh TipXPP 16` builds the cache on ImageNet and tests it on V2, Sketch, A and
R. Classes are matched by WordNet id. For A and R, the text classifier, the cache and the class distributions whose KL
divergence Tip-X uses are restricted to their 200 classes.
"""

OWN = """\
## Your own images

No Python is needed. Copy `configs/datasets/folder.yaml` to `configs/datasets/birds.yaml`:

```yaml
DATASET:
  NAME: "Folder"
  FOLDER:
    PATH: "birds"                               # from the data root, or absolute
    CSV: ""                                     # or a file in it: path,label or path,label,split
    TEMPLATE: "a photo of a {}, a type of bird."
```

    bash scripts/compare.sh birds 1 2 4 8 16

"""


def document() -> str:
    """The text of DATASETS.md."""
    kinds = declared()
    made = [name for name in kinds if name not in published() and name != "Folder"]
    parts = [HEAD, "## Published datasets\n", *(section(name, kinds[name]) for name in published())]
    parts += [OWN + described(kinds["Folder"]) + "\n", "## Made on first use\n"]
    parts += ["\n".join(f"* **{name}** (`{yaml(kinds[name])}`): {summary(kinds[name])}" for name in made) + "\n"]
    return "\n".join(parts)


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
    lines += [f"* `{other}/` is accepted in place of `{usual}/`" for usual, other in kind.mirrors.items()]
    lines += [f"* `{path}/` cannot be used: {why}" for path, why in kind.unfit.items()]
    rows = [f"| `{path}` | {source} |" for path, source in kind.sources.items()]
    return "\n".join([*lines, "", "| file or folder | where to get it |", "|---|---|", *rows, ""])
