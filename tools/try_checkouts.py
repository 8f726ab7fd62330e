"""Tries this project in real CoOp-style checkouts, and prints a table.

    python tools/try_checkouts.py --dassl ~/Dassl.pytorch ~/CoOp ~/multimodal-prompt-learning ~/PLOT ...

Each folder is a git checkout with a train.py at its top or one folder below (PLOT has two). Nothing is done in it: all
is tried in a clone. The data are ColoredDigits in the place of Caltech101, few images a class; the command is README's,
TipXPP on `glyph` with 4 shots.

    imo-run     accuracy of `imo-run train.py`
    eval-only   the same again from the state that it left, with --eval-only
    two lines   `python train.py` after CONTRIBUTING.md's two lines were put into it
    tuned on    the images that hyper-parameters were chosen on, which is for the checkout's dataset to decide
    left        what git finds in the clone afterwards, beside train.py

A checkout that bundles a Dassl is tried with upstream's and with its own. It takes the copy of this project that the
active Python has installed, as users do. Packages that a checkout imports are for the user to install; where plain
`python train.py --help` fails, what it says is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
KEPT = {"train": 16, "val": 4, "test": 15}  # images a class
OPTIONS = [
    "train.py", "--trainer", "TipXPP", "--config-file", "configs/trainers/TipXPP/glyph.yaml",
    "--dataset-config-file", "configs/datasets/caltech101.yaml", "--seed", "1",
]  # fmt: skip
GET = "cfg = get_cfg_default()\n"
TWO_LINES = f"{GET}    from imo.workbench import extend_cfg as extend_with_imo\n    extend_with_imo(cfg)\n"
COLUMNS = ("checkout", "Dassl", "imo-run", "eval-only", "two lines", "tuned on", "left")


def main() -> int:
    """Returns 0 where every checkout gives the same accuracy in all three ways and stays clean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--dassl", type=Path, required=True, help="source folder of upstream Dassl.pytorch")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        make_caltech101(Path(scratch))
        tries = [
            (script.parent, dassl)
            for checkout in map(Path.resolve, args.checkouts)
            for script in sorted([*checkout.glob("train.py"), *checkout.glob("*/train.py")])
            for dassl in (args.dassl.resolve(), *(path.parents[1] for path in checkout.glob("*/dassl/__init__.py")))
        ]
        for folder, dassl in tqdm(tries, desc="Checkouts", disable=None):
            rows.append(tried(folder, dassl, Path(scratch)))
    print(tabulate(rows, COLUMNS))
    return int(any(len({*row[2:5]}) > 1 or row[6] for row in rows))


def make_caltech101(scratch: Path) -> None:
    """Lay out the first images of ColoredDigits as Caltech101 has them, in scratch/data."""
    made, folder = scratch / "data/colored_digits", scratch / "data/caltech-101"
    python("-m", "imo", "datasets", "prepare", "colored_digits", "--root", made.parent, folder=scratch)
    split = json.loads((made / "split.json").read_text())
    for part, kept in KEPT.items():
        seen: Counter[int] = Counter()
        for entry in [*split[part]]:
            seen[entry[1]] += 1
            if seen[entry[1]] > kept:
                split[part].remove(entry)
    shutil.copytree(made / "images", folder / "101_ObjectCategories")
    (folder / "split_zhou_Caltech101.json").write_text(json.dumps(split))


def tried(folder: Path, dassl: Path, scratch: Path) -> list[str]:
    """The table's row on a folder with a train.py and a Dassl."""
    top = Path(git("rev-parse", "--show-toplevel", folder=folder))
    clone = Path(tempfile.mkdtemp(dir=scratch))
    git("clone", "--quiet", top, clone, folder=scratch)
    place = clone / folder.relative_to(top)
    outputs = [Path(tempfile.mkdtemp(dir=scratch)) for _ in range(2)]
    common = [*OPTIONS, "--root", scratch / "data"]
    if '"--backbone"' in (text := (place / "train.py").read_text()):
        common += ["--backbone", "glyph"]  # CLAP's has a default, which goes over the config file
    end = ["DATASET.NUM_SHOTS", "4", "IMO.STORE", scratch / "features"]

    def accuracy(*words: str | Path, output: Path) -> str:
        failed = python(*words, "--output-dir", output, *end, folder=place, path=[dassl])
        return failed or f"{json.loads((output / 'results.json').read_text())['accuracy']:.2f}"

    if failed := python("train.py", "--help", folder=place, path=[dassl]):
        launched, again, inserted = f"plain train.py: {failed}", "", ""
    else:
        launched = accuracy("-m", "imo.run", *common, output=outputs[0])
        again = accuracy("-m", "imo.run", *common, "--eval-only", "--model-dir", outputs[0], output=outputs[1])
        (place / "train.py").write_text(text.replace(GET, TWO_LINES, 1))
        shutil.rmtree(outputs[1])
        config = ROOT / "configs/backbones/glyph.yaml"
        common[common.index("--config-file") + 1] = str(config)
        inserted = accuracy(*common, output=outputs[1])
    results = outputs[0] / "results.json"
    tuned_on = json.loads(results.read_text())["tuned_on"] if results.exists() else ""
    left = [line[3:] for line in git("status", "--porcelain", folder=clone).splitlines()]
    left = [name for name in left if Path(name).name != "train.py"]
    which = "own" if top in dassl.parents else "upstream"
    name = folder.relative_to(top.parent)
    shutil.rmtree(clone)
    return [str(name), which, launched, again, inserted, tuned_on, " ".join(left)]


def python(*words: object, folder: Path, path: list[Path] | None = None) -> str:
    """Run Python in a folder; empty where it succeeds, else the last line that it says."""
    found = os.pathsep.join(map(str, [*(path or []), os.environ.get("PYTHONPATH", "")])).strip(os.pathsep)
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": found, "PYTHONDONTWRITEBYTECODE": "1"},
        input="continue\n" * 9,  # BPL's train.py has a breakpoint
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout.strip().splitlines()[-1] if done.returncode else ""


def git(*words: object, folder: Path) -> str:
    """What git says in a folder."""
    return subprocess.run(
        ["git", *map(str, words)], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip("\n")


if __name__ == "__main__":
    sys.exit(main())
