"""Bad input of every kind, made by a seeded generator: it is taken, or refused in one line, and never a traceback.

--slow makes twenty times as much of it.
"""

import csv
import io
import json
import re
import shutil
import traceback
from functools import partial

import numpy as np
import pytest
import torch
from bench import imo_command
from fuzzing import generator, leaves, mangled_arrays, mangled_bytes, mangled_json, mangled_state, word_for
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from imo.workbench.report.tables import CSV_COLUMNS

TRAINERS = ("TipXPP", "CLIPAdapter", "TaskRes", "TipAdapterF", "CoOp", "CoCoOp", "IMOAdapter", "LinearProbe")
QUICK = ("OPTIM.MAX_EPOCH", 1, "IMO.PASSES", 2, "DATALOADER.NUM_WORKERS", 0)


@pytest.fixture
def times(request):
    """times(count): so many, and with --slow twenty times as many."""
    return lambda count: range(count * 20 if request.config.getoption("--slow") else count)


class Tally:
    """What became of all cases. A case that is neither taken nor refused in one line is kept, to be told at the end."""

    def __init__(self, folder):
        self.folder, self.refused, self.count, self.faults = folder, 0, 0, []

    def add(self, case, command, statuses=(0, 2)):
        """Run a command. One that refuses leaves nothing behind."""
        before, self.count = self.files(), self.count + 1
        try:
            run = command()
            assert run.status in statuses, run.err
            if run.status == 2:
                lines = [line for line in re.split(r"[\r\n]+", run.err) if line.strip() and "%|" not in line]
                assert len(lines) == 1 and lines[0].startswith("error: ") and lines[0].isprintable(), run.err
                assert self.files() <= before, sorted(self.files() - before)
                self.refused += 1
        except (Exception, SystemExit) as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            kind = type(error).__name__
            self.faults.append(f"{str(case)[:800]}: {kind} {str(error)[-600:]} ({last.filename}:{last.lineno})")

    def files(self):
        """What there is, but for features, and for the logs of a folder with the state of another run."""
        found = {path for path in self.folder.rglob("*") if path.is_file()}
        return {path for path in found if path.suffix != ".shard" and not path.name.startswith("log.txt-")}

    def close(self, least):
        """Fail if there were faults, or fewer refused than this share, which is a sign that nothing is tried."""
        print(f"{self.count} cases, {self.refused} refused, {len(self.faults)} faults")
        if self.faults:
            pytest.fail(f"{len(self.faults)} of {self.count}:\n\n" + "\n\n".join(self.faults), pytrace=False)
        assert self.refused >= least * self.count


@pytest.fixture
def tally(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    return Tally(bench.folder)


def test_options(bench, times, tally):
    from imo.workbench import train

    rng = generator("options")
    settings = {
        trainer: [
            (name, value)
            for name, value in leaves(train.setup_cfg(train.parser().parse_args(bench.argv(trainer))))
            if not name.startswith("TRAINER.") or trainer.upper() in name
        ]
        for trainer in TRAINERS
    }
    for i in times(50):
        trainer = TRAINERS[i % len(TRAINERS)]
        chosen = rng.sample(settings[trainer], rng.choice((1, 1, 2)))
        options = [word for name, value in chosen for word in (name, word_for(rng, value))]
        tally.add((trainer, options), partial(bench.main, trainer, *QUICK, *options))
        shutil.rmtree(bench.folder / trainer, ignore_errors=True)
    tally.close(0.5)


@pytest.mark.parametrize("name", ("split.json", "split_fewshot/shot_4-seed_1-full.json"))
def test_json_of_a_dataset(bench, times, tally, name):
    rng, path = generator(name), bench.copy_data() / name
    assert bench.main("TipX").status == 0
    content = json.loads(path.read_text())
    for _ in times(8):
        path.write_bytes(mangled_json(rng, content))
        shutil.rmtree(bench.folder / "TipX", ignore_errors=True)
        tally.add(path.read_bytes()[:300], partial(bench.main, "TipX"))
    tally.close(0.4)


@pytest.fixture
def reported(bench, finished):
    """An output folder of two runs and an overlap analysis, and figures to compare it with."""
    output = bench.folder / "out"
    for trainer in ("TipX", "TipXPP"):
        shutil.copytree(finished(trainer).folder, output / f"digits/{trainer}/seed1")
    weights = ("--backbone", bench.assets.backbone, "--adapter", bench.assets.adapter)
    words = ("--dataset", "digits", "--cfg", "glyph", "--data", bench.data, *weights, "--output", output)
    assert imo_command("overlap", *words, folder=output).status == 0
    (output / "expected.csv").write_text(",".join(CSV_COLUMNS) + "\nDigits,TipX,4,1,50,\n")
    return output


@pytest.mark.parametrize("name", ("results.json", "surface.npz", "overlap.json"))
def test_files_of_a_report(reported, times, tally, name):
    rng = generator(name)
    path = reported / ("overlap/digits" if name == "overlap.json" else "digits/TipXPP/seed1") / name
    content = path.read_bytes()
    for i in times(3 if name == "surface.npz" else 8):
        if name != "surface.npz":
            path.write_bytes(mangled_json(rng, json.loads(content)))
        elif i % 3 == 2:
            path.write_bytes(mangled_bytes(rng, content))
        else:
            np.savez(path, **mangled_arrays(rng, np.load(io.BytesIO(content))))
        pictures = name == "surface.npz" or i % 8 == 0  # take a second each
        words = ("report", reported, *(() if pictures else ("--against", reported / "expected.csv")))
        tally.add(path.read_bytes()[:300], partial(imo_command, *words, folder=reported), statuses=(0, 1, 2))
        shutil.rmtree(reported / "report", ignore_errors=True)
    tally.close(0)


def saved(rng, state, path, about=None):
    """Write a mangled state, as .pt or .safetensors, and cut or change some of its bytes now and then."""
    changed = mangled_state(rng, state)
    if path.suffix == ".safetensors":
        parts = changed.items() if isinstance(changed, dict) else ()
        dense = {str(k): v.contiguous() for k, v in parts if torch.is_tensor(v) and not v.is_sparse}
        save_file(dense, path, about)
    else:
        torch.save(changed, path)
    if rng.random() < 0.2:
        path.write_bytes(mangled_bytes(rng, path.read_bytes()))


def authors_names(adapters):
    """The adapters of our file under the names of the IMO authors' checkpoints."""
    parts = {"down.": "down_proj.", "up.": "up_proj."}
    keys = [key.split(".", 2) for key in adapters]
    names = [f"image_encoder.transformer.resblocks.{block}.adaptmlp.{part}" for _, block, part in keys]
    for ours, theirs in parts.items():
        names = [name.replace(f"adaptmlp.{ours}", f"adaptmlp.{theirs}") for name in names]
    return dict(zip(names, adapters.values(), strict=True))


@pytest.mark.parametrize("name", ("backbone.pt", "backbone.safetensors", "adapter.safetensors", "authors.pt"))
def test_weights(bench, assets, times, tally, name):
    rng, path, about = generator(name), bench.folder / name, None
    option = "MODEL.BACKBONE.NAME" if name.startswith("backbone") else "IMO.ADAPTER"
    state = torch.load(assets.backbone, weights_only=True)
    if option == "IMO.ADAPTER":
        state = load_file(assets.adapter)
        with safe_open(assets.adapter, "pt") as file:
            about = file.metadata()
    if name == "authors.pt":
        state = authors_names(state)
        (bench.folder / "configs.txt").write_text("{'ffn_adapter_scalar': '0.5'}")
    for i in times(8):
        changed = about
        if about and i % 2:
            changed = {key: mangled_json(rng, json.loads(text)).decode(errors="replace") for key, text in about.items()}
        saved(rng, state, path, changed)
        command = partial(bench.main, "TipXPP", option, path, "IMO.STORE", bench.folder / "store")
        tally.add((name, i), command)
        for folder in ("TipXPP", "store"):
            shutil.rmtree(bench.folder / folder, ignore_errors=True)
    tally.close(0.5)


@pytest.mark.parametrize(
    "trainer, name",
    [("TipXPP", "cache"), ("TaskRes", "cache"), ("CoOp", "prompt_learner"), ("IMOAdapter", "adapter")],
)
def test_checkpoints(bench, times, tally, finished, trainer, name):
    rng, folder = generator(trainer), bench.folder / "source"
    shutil.copytree(finished(trainer).folder, folder)
    path = folder / name / "model-best.pth.tar"
    state = torch.load(path, weights_only=True)
    flags = ("--eval-only", "--model-dir", folder)
    for i in times(6):
        saved(rng, state, path)
        tally.add((trainer, i), partial(bench.main, trainer, flags=flags, output=bench.folder / "test"))
        shutil.rmtree(bench.folder / "test", ignore_errors=True)
    tally.close(0.1)


def test_half_done_runs(bench, times, tally, finished):
    rng, source, folder = generator("resume"), bench.folder / "source", bench.folder / "run"
    shutil.copytree(finished("IMOAdapter").folder, source)
    (source / "results.json").unlink()
    (path,) = (source / "adapter").glob("model.pth.tar-*")
    state = torch.load(path, weights_only=True)
    for i in times(6):
        saved(rng, state, path)
        shutil.copytree(source, folder)
        tally.add(i, partial(bench.main, "IMOAdapter", output=folder))
        shutil.rmtree(folder)
    tally.close(0.3)


def test_store(bench, times, tally):
    rng, store = generator("store"), bench.folder / "store"
    run = partial(bench.main, "TipXPP", "IMO.STORE", store)
    assert run().status == 0
    whole = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    for _ in times(5):
        for file, content in whole.items():
            file.write_bytes(content)
        file = rng.choice(sorted(file for file in whole if file.suffix != ".lock"))
        is_json = file.suffix == ".json"
        content = mangled_json(rng, json.loads(whole[file])) if is_json else mangled_bytes(rng, whole[file])
        file.write_bytes(content)
        for word in ("list", "prune"):
            tally.add((word, content[:300]), partial(imo_command, "store", word, "--store", store, folder=store))
        shutil.rmtree(bench.folder / "TipXPP", ignore_errors=True)
        file.write_bytes(content)
        tally.add(("run", content[:300]), run)
    tally.close(0)


def test_yaml(bench, times, tally):
    rng, path = generator("yaml"), bench.folder / "config.yaml"
    content = b"DATALOADER:\n  TEST:\n    BATCH_SIZE: 8\nINPUT:\n  SIZE: (24, 24)\n  TRANSFORMS: [normalize]\n"
    argv = bench.argv("ZeroshotCLIP")
    argv[argv.index("--config-file") + 1] = str(path)
    for _ in times(8):
        path.write_bytes(mangled_bytes(rng, content))
        tally.add(path.read_bytes(), partial(bench.command, argv, bench.folder))
        shutil.rmtree(bench.folder / "ZeroshotCLIP", ignore_errors=True)
    tally.close(0.3)


def test_own_images(bench, times, tally):
    """The table of a dataset of one's own, and its template."""
    rng, table = generator("table"), bench.copy_data() / "table.csv"
    images = [(label, part, i) for label in range(4) for part in ("train", "test") for i in range(4)]
    rows = [[f"images/{label}/{part}_{i}.png", f"class {label}", part] for label, part, i in images]
    names = ("x" * 200_000, "a " * 100, "\x1b[31m", "{}", "{", "", "=1", "é" * 90, "\0", "a\nb", '"')
    templates = ("a {}", "{name}", "{} {x}", "{", "}", "{:>99}", "{0}", "", "x " * 100 + "{}", "{}{}", "{}")
    options = ("DATASET.NAME", "Folder", "DATASET.FOLDER.PATH", "digits", "DATASET.FOLDER.CSV", "table.csv")
    for _ in times(10):
        changed, template = [list(row) for row in rows], rng.choice(templates)
        for _ in range(rng.randrange(3)):
            rng.choice(changed)[rng.randrange(3)] = rng.choice(names)
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([["path", "label", "split"], *changed])
        command = partial(bench.main, "ZeroshotCLIP", *options, "DATASET.FOLDER.TEMPLATE", template)
        tally.add((template, [row for row in changed if row not in rows]), command)
        shutil.rmtree(bench.folder / "ZeroshotCLIP", ignore_errors=True)
    tally.close(0.4)
