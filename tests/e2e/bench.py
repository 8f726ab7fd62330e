"""Runs the real command line on a tiny random CLIP and a tiny dataset; a run takes a fraction of a second."""

import contextlib
import io
import json
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

CLASSNAMES = ("digit zero", "digit one", "digit two", "digit three")
COUNTS = {"train": 6, "val": 3, "test": 5}  # images of a class


def make_dataset(root, folder="digits", classnames=CLASSNAMES, counts=COUNTS, seed=0):
    """Noisy blobs, one base colour a class, with a split file of CoOp's form. Returns the folder."""
    rng = np.random.default_rng(seed)
    colours = np.random.default_rng(7).uniform(60, 196, (len(classnames), 3))
    split = {part: [] for part in counts}
    y, x = np.mgrid[:20, :20]
    for label, classname in enumerate(classnames):
        for part, count in counts.items():
            for i in range(count):
                row, column = rng.uniform(6, 14, 2)
                blob = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 30)[:, :, None]
                paper = rng.uniform(0, 255, 3)
                pixels = paper + blob * (colours[label] - paper) + rng.normal(0, 25, (20, 20, 3))
                path = root / folder / "images" / str(label) / f"{part}_{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.uint8(pixels.clip(0, 255))).save(path)
                split[part].append([f"{label}/{part}_{i}.png", label, classname])
    (root / folder / "split.json").write_text(json.dumps(split))
    return root / folder


@dataclass(frozen=True)
class Assets:
    """Files that no test changes."""

    folder: Path
    data: Path = field(init=False)
    store: Path = field(init=False)
    backbone: Path = field(init=False)
    safetensors: Path = field(init=False)
    adapter: Path = field(init=False)
    fresh_adapter: Path = field(init=False)

    def __post_init__(self):
        names = {"backbone": "tiny.pt", "safetensors": "tiny.safetensors", "adapter": "adapter.safetensors"}
        for name in ("data", "store", "backbone", "safetensors", "adapter", "fresh_adapter"):
            object.__setattr__(self, name, self.folder / names.get(name, name))


def tensors_of(state):
    """A method's state dict, or another, with its settings as tensors too."""
    extra = state.get("_extra_state", {}).get("settings", {}) if isinstance(state.get("_extra_state"), dict) else {}
    tensors = {name: value for name, value in state.items() if torch.is_tensor(value)}
    return {**tensors, **{name: torch.tensor(value, dtype=torch.float64) for name, value in extra.items()}}


def scored(trainer, split):
    """(N, C) logits of a method trainer's method for a split."""
    return trainer.method.logits(trainer.data.queries(split))


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def results(self):
        return json.loads((self.folder / "results.json").read_text())

    @property
    def log(self):
        return (self.folder / "log.txt").read_text()

    def state(self, name="cache"):
        """The tensors of the checkpoint, and the settings of a method as tensors."""
        path = self.folder / name / "model-best.pth.tar"
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        return tensors_of(state)

    def assert_refused(self, *words):
        """Status 2, one line on stderr (beside progress bars) that has all words, no results."""
        lines = [line for line in re.split(r"[\r\n]+", self.err) if line.strip() and not re.search(r"\d+%\|", line)]
        assert self.status == 2, self.err
        assert len(lines) == 1 and lines[0].startswith("error: "), self.err
        for word in words:
            assert word in lines[0]
        assert not list(self.folder.rglob("results.json"))


def imo_command(*words, folder):
    """The command `imo` in this process; `folder` is where it leaves what it writes."""
    from imo.workbench import cli

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main([str(word) for word in words])
    return Finished(status, out.getvalue(), err.getvalue(), Path(folder))


class Bench:
    """Runs the command line in this process, below a folder of its own.

    The feature store is everybody's: a test whose runs have other than 4 shots must name its own, or what others read
    were encoded in other batches and differ in the last bit.
    """

    def __init__(self, assets, folder):
        self.assets, self.folder, self.data, self.store = assets, folder, assets.data, assets.store

    def argv(self, trainer, *options, output=None, dataset="digits", shots=4, seed=1, flags=()):
        """train.py's arguments; options are KEY VALUE pairs, flags go before them."""
        from imo import trainers
        from imo.workbench.configs import trainer_config

        trainers.register()
        output = output or self.folder / trainer / f"tiny_{shots}shots" / f"seed{seed}"
        argv = ["--root", self.data, "--trainer", trainer, "--output-dir", output, *flags]
        argv += ["--seed", seed] if seed is not None else []
        argv += ["--config-file", trainer_config(trainer, "glyph")]
        argv += ["--dataset-config-file", ROOT / f"configs/datasets/{dataset}.yaml"]
        argv += ["MODEL.BACKBONE.NAME", self.assets.backbone, "IMO.STORE", self.store, "DATASET.NUM_SHOTS", shots]
        argv += ["IMO.ADAPTER", self.assets.adapter]
        return [str(word) for word in (*argv, *options)]

    def main(self, trainer, *options, **more):
        """The command as a shell would run it."""
        argv = self.argv(trainer, *options, **more)
        return self.command(argv, Path(argv[argv.index("--output-dir") + 1]))

    def command(self, argv, folder):
        return imo_command("train", *argv, folder=folder)

    def trainer(self, trainer, *options, **more):
        """The trainer behind the command, after its run."""
        from imo.workbench import train

        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return train.run(train.parser().parse_args(self.argv(trainer, *options, **more)))

    def copy_data(self):
        """From now on, data of its own that a test may change."""
        self.data = Path(shutil.copytree(self.assets.data, self.folder / "data"))
        return self.data / "digits"
