"""Bad input: one line that names the file or option and the remedy, exit status 2, no results."""

import errno
import gc
import io
import json
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
from bench import ROOT, Finished
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import imo
from imo.images import open_image

# Options.


@pytest.mark.parametrize(
    "options, words",
    [
        (("DATASET.NAME", "Nonesuch"), ("DATASET.NAME", "'Nonesuch'", "known: ", "Digits")),
        (("TRAINER.NAME", "Nonesuch"), ("--trainer", "'Nonesuch'", "known: ", "TipXPP")),
        (("MODEL.BACKBONE.NAME", "Nonesuch"), ("MODEL.BACKBONE.NAME", "'Nonesuch'", "known: ", "glyph", "ViT-B/16")),
        (("MODEL.BACKBONE.NAME", "no/such.pt"), ("no/such.pt", "MODEL.BACKBONE.NAME")),
        (("DATASET.NUM_SHOTS", "0"), ("DATASET.NUM_SHOTS", "positive", "got 0")),
        (("DATASET.NUM_SHOTS", "-3"), ("DATASET.NUM_SHOTS", "positive", "got -3")),
        (("DATASET.NUM_SHOTS", "many"), ("DATASET.NUM_SHOTS", "many", "int")),
        (("DATASET.NUM_SHOT", "4"), ("DATASET.NUM_SHOT",)),
        (("DATASET.NUM_SHOTS",), ("options", "odd length")),
        (("DATASET.NUM_SHOTS", "1", "--resume", "folder"), ("--resume", "KEY VALUE", "before")),
        (("--eval-only",), ("--eval-only", "KEY VALUE", "before")),
        (("IMO.SEARCH", "other"), ("IMO.SEARCH", "grid, exact", "'other'")),
        (("IMO.PHI", "other"), ("IMO.PHI", "paper, inductive", "'other'")),
        (("DATASET.VALIDATION", "other"), ("DATASET.VALIDATION", "full, few", "'other'")),
        (("DATASET.CORRUPTION", "fog-3"), ("DATASET.CORRUPTION", "gaussian_noise", "'fog-3'")),
        (("DATASET.CORRUPTION", "inverse-6"), ("DATASET.CORRUPTION", "1..5", "'inverse-6'")),
        (("INPUT.SIZE", "(32, 32)"), ("INPUT.SIZE", "24x24", "(32, 32)")),
    ],
)
def test_option(bench, options, words):
    run = bench.main("TipAdapter", *options)
    run.assert_refused(*words)
    assert not (bench.folder / "TipAdapter").exists()  # nothing is written, no folder either


@pytest.mark.parametrize("option", ("--output-dir", "--root", "OUTPUT_DIR", "IMO.STORE"))
def test_an_empty_folder_is_not_the_current_one(bench, monkeypatch, option):
    (bench.folder / "here").mkdir()
    monkeypatch.chdir(bench.folder / "here")
    if option.startswith("--"):
        argv = bench.argv("TipAdapter")
        argv[argv.index(option) + 1] = ""
    else:
        argv = bench.argv("TipAdapter", option, "")
    bench.command(argv, bench.folder).assert_refused(option, "empty", "current folder")
    assert not any(path.is_file() for path in bench.folder.rglob("*"))


@pytest.mark.parametrize("flag", ("--config-file", "--dataset-config-file"))
def test_config_file(bench, flag):
    path = bench.folder / "config.yaml"
    for content, words in (
        (None, ("no such file", "configs/")),
        ("DATASET: {NAME: [", ()),
        ("DATASET:\n  NONESUCH: 1\n", ("NONESUCH",)),
        ("INPUT:\n  SIZE: 'big'\n", ("INPUT.SIZE",)),
    ):
        if content is not None:
            path.write_text(content)
        argv = bench.argv("TipAdapter")
        argv[argv.index(flag) + 1] = str(path)
        bench.command(argv, bench.folder).assert_refused(flag, str(path), *words)


@pytest.mark.parametrize("trainer", ("TipXPP", "IMOAdapter"))
def test_model_dir(bench, finished, trainer):
    folder = bench.folder / "source"
    run = bench.main(trainer, flags=("--eval-only", "--model-dir", folder), output=bench.folder / "out")
    run.assert_refused(str(folder))
    name = "adapter" if trainer == "IMOAdapter" else "cache"
    content = (finished(trainer).folder / name / "model-best.pth.tar").read_bytes()
    (folder / name).mkdir(parents=True)
    (folder / name / "model-best.pth.tar").write_bytes(content[: len(content) // 2])
    run = bench.main(trainer, flags=("--eval-only", "--model-dir", folder), output=bench.folder / "out")
    run.assert_refused("--model-dir", str(folder), "damaged")
    run = bench.main(trainer, flags=("--eval-only",), output=bench.folder / "out")
    run.assert_refused("--model-dir")


@pytest.mark.parametrize("trainer", ("TipXPP", "IMOAdapter", "CoOp"))
def test_an_epoch_that_was_not_kept(bench, finished, trainer):
    flags = ("--eval-only", "--model-dir", finished(trainer).folder, "--load-epoch", 999)
    run = bench.main(trainer, flags=flags, output=bench.folder / "out")
    run.assert_refused("--load-epoch 999", "model.pth.tar-999", "leave the flag out")
    (state,) = re.findall(r"model\.pth\.tar-(?!999)(\d+)", run.err)
    flags = (*flags[:-1], state)
    assert bench.main(trainer, flags=flags, output=bench.folder / "out").status == 0


def test_from_base_to_new_classes(bench):
    """A cache has no images of the new ones; prompts carry over."""
    for trainer, carries_over in (("TipXPP", False), ("CoOp", True)):
        base = bench.main(trainer, "DATASET.SUBSAMPLE_CLASSES", "base", output=bench.folder / trainer)
        flags = ("--eval-only", "--model-dir", base.folder)
        new = ("DATASET.SUBSAMPLE_CLASSES", "new")
        run = bench.main(trainer, *new, flags=flags, output=bench.folder / "out")
        if carries_over:
            assert run.status == 0, run.err
        else:
            run.assert_refused("--model-dir", "other classes", "DATASET.SUBSAMPLE_CLASSES (here new)", "ZeroshotCLIP")


@pytest.mark.parametrize("trainer", ("TipXPP", "IMOAdapter", "CoOp"))
def test_a_test_does_not_replace_the_results_of_training(bench, finished, trainer):
    """The test knows neither the validation accuracy nor the overlap of the run."""
    folder = Path(shutil.copytree(finished(trainer).folder, bench.folder / "run"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for model, output in ((folder, folder), (f"{folder}/", folder / "../run"), (finished(trainer).folder, folder)):
        run = bench.main(trainer, flags=("--eval-only", "--model-dir", model), output=output)
        assert run.status == 2 and run.err.startswith("error: --output-dir: ") and run.err.count("\n") == 1
        assert "another folder" in run.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    for _ in range(2):  # a test may be repeated
        run = bench.main(trainer, flags=("--eval-only", "--model-dir", folder), output=bench.folder / "test")
        assert run.status == 0, run.err


# Data.


def test_data_root_missing_or_a_file(bench):
    bench.data = bench.folder / "nowhere"
    bench.main("TipAdapter", dataset="dtd").assert_refused(str(bench.data), "--root", "create it")
    assert not bench.data.exists()
    bench.data.write_text("")
    bench.main("TipAdapter").assert_refused(str(bench.data), "--root")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_data_root_unreadable(bench):
    bench.data = bench.folder / "closed"
    bench.data.mkdir(mode=0)
    bench.main("TipAdapter").assert_refused(str(bench.data), "unreadable")


def drop(part):
    return lambda split: split.pop(part)


@pytest.mark.parametrize(
    "change, words",
    [
        (None, ("broken split file",)),
        (drop("train"), ("broken split file", "train")),
        (drop("test"), ("broken split file", "test")),
        (lambda split: split["train"][0].pop(), ("broken split file", "[path, label, classname]")),
        (lambda split: split["train"].clear(), ("training and test images",)),
        (lambda split: split["test"].clear(), ("training and test images",)),
        (lambda split: split["test"][0].__setitem__(1, 4), ("no training images of 'digit zero' under its label",)),
        (lambda split: split["test"][0].__setitem__(1, 1), ("'digit one', 'digit zero' have the same label, 1",)),
        (lambda split: split["test"][0].__setitem__(1, "one"), ("broken split file",)),
    ],
)
def test_split_file(bench, change, words):
    path = bench.copy_data() / "split.json"
    split = json.loads(path.read_text())
    if change is not None:
        change(split)
    path.write_text(json.dumps(split)[: None if change else -20])
    bench.main("TipAdapter").assert_refused(str(path), *words)


def test_split_file_missing(bench):
    path = bench.copy_data() / "split.json"
    path.unlink()
    bench.main("TipAdapter").assert_refused(str(path), "missing", "DATASETS.md")


def test_no_validation_images(bench):
    path = bench.copy_data() / "split.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "val": []}))
    bench.main("TipAdapter").assert_refused("Digits", "no val images")


@pytest.mark.parametrize("part", ("train", "test"))
def test_image_missing(bench, part):
    digits = bench.copy_data()
    for name in (f"1/{part}_0.png", f"1/{part}_1.png"):
        (digits / "images" / name).unlink()
    bench.main("TipAdapter").assert_refused(f"1/{part}_0.png", "missing and 1 more", "restore")


@pytest.fixture
def quick_end(monkeypatch):
    """Loading processes that failed are ended at once, in place of 5 seconds each in some later test."""
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    yield
    gc.collect()


@pytest.mark.parametrize("workers", (0, 2))
@pytest.mark.parametrize(
    "trainer, part", [("TipXPP", "train"), ("TipXPP", "val"), ("TipXPP", "test"), ("IMOAdapter", "train")]
)
def test_truncated_image(bench, quick_end, trainer, part, workers):
    digits = bench.copy_data()
    path = digits / "images" / "1" / f"{part}_2.png"
    path.write_bytes(path.read_bytes()[:400])
    run = bench.main(trainer, "DATALOADER.NUM_WORKERS", workers, "IMO.STORE", bench.folder / "store", shots=6)
    run.assert_refused(str(path), "cannot be read", "restore")


def test_truncated_image_to_be_corrupted(bench):
    digits = bench.copy_data()
    path = digits / "images" / "1" / "test_2.png"
    path.write_bytes(path.read_bytes()[:400])
    store = bench.folder / "store"
    bench.main("TipXPP", "DATASET.CORRUPTION", "inverse-3", "IMO.STORE", store).assert_refused(str(path), "restore")
    assert all(copy.suffix == ".png" and copy.name[0] != "." for copy in (store / "corrupted/inverse-3").iterdir())


def test_image_cut_anywhere_is_read_whole_or_refused(assets, tmp_path):
    content = (assets.data / "digits/images/0/test_0.png").read_bytes()
    whole = open_image(assets.data / "digits/images/0/test_0.png").tobytes()
    refused = 0
    for end in range(0, len(content), 7):
        (tmp_path / "cut.png").write_bytes(content[:end])
        try:
            assert open_image(tmp_path / "cut.png").tobytes() == whole
        except imo.InputError as error:
            assert "cut.png" in str(error)
            refused += 1
    assert refused > 0.9 * len(content) / 7


# Weights.


@pytest.mark.parametrize("suffix", (".pt", ".safetensors"))
@pytest.mark.parametrize("size", (0, 100, 100_000))
def test_truncated_backbone(bench, assets, suffix, size):
    path = bench.folder / f"cut{suffix}"
    path.write_bytes((assets.backbone if suffix == ".pt" else assets.safetensors).read_bytes()[:size])
    bench.main("TipXPP", "MODEL.BACKBONE.NAME", path).assert_refused(str(path))


class Bomb:
    def __init__(self, fuse):
        self.fuse = fuse

    def __reduce__(self):
        return os.mkdir, (str(self.fuse),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))))
def test_code_in_a_backbone_is_not_run(bench, save):
    path, fuse = bench.folder / "bomb.pt", bench.folder / "fuse"
    save({"visual.proj": Bomb(fuse)}, path)
    bench.main("TipXPP", "MODEL.BACKBONE.NAME", path).assert_refused(str(path), "refused", "state dict")
    assert not fuse.exists()


@pytest.mark.parametrize("content", ({"a": torch.zeros(3)}, [torch.zeros(3)], torch.zeros(3)))
def test_backbone_of_something_else(bench, content):
    path = bench.folder / "other.pt"
    torch.save(content, path)
    bench.main("TipXPP", "MODEL.BACKBONE.NAME", path).assert_refused(str(path))


def test_backbone_that_cannot_be_downloaded(bench, monkeypatch):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setenv("HOME", str(bench.folder))
    bench.main("TipAdapter", "MODEL.BACKBONE.NAME", "ViT-B/32").assert_refused("ViT-B/32", "downloaded", "no route")


@pytest.mark.parametrize("key", ("visual.conv1.weight", "token_embedding.weight"))
@pytest.mark.parametrize("trainer", ("ZeroshotCLIP", "TipX", "TipXPP", "IMOAdapter"))
def test_nan_in_the_backbone(bench, assets, trainer, key):
    if trainer == "IMOAdapter" and key == "token_embedding.weight":
        pytest.skip("reads no text")
    state = torch.load(assets.backbone, weights_only=True)
    state[key] = torch.full_like(state[key], torch.nan)
    torch.save(state, bench.folder / "nan.pt")
    model, _ = imo.load_clip(str(assets.backbone))
    imo.attach_adapters(model, 8)
    imo.save_adapters(model, bench.folder / "fits")
    options = ("MODEL.BACKBONE.NAME", bench.folder / "nan.pt", "IMO.ADAPTER", bench.folder / "fits")
    bench.main(trainer, *options).assert_refused("NaN", "weights")


def test_nan_in_the_adapters(bench, assets):
    path, tensors = bench.folder / "nan.safetensors", load_file(assets.adapter)
    tensors["resblocks.1.up.bias"].fill_(torch.nan)
    with safe_open(assets.adapter, "pt") as file:
        save_file(tensors, path, file.metadata())
    bench.main("TipAdapterPP", "IMO.ADAPTER", path).assert_refused("NaN", "adapter", "weights")


def test_learning_rate_that_explodes(bench):
    options = ("OPTIM.LR", 1e30, "OPTIM.MAX_EPOCH", 3, "DATALOADER.TRAIN_X.BATCH_SIZE", 4)
    bench.main("IMOAdapter", *options).assert_refused("OPTIM.LR", "NaN", "lower")


# Adapters.


@pytest.mark.parametrize("trainer", ("TipAdapterPP", "TipXPP"))
def test_no_adapters_for_the_backbone(bench, trainer):
    run = bench.main(trainer, "IMO.ADAPTER", "")
    run.assert_refused("IMO.ADAPTER", trainer, str(bench.assets.backbone), "bash scripts/imo_adapter.sh")


def test_adapter_file_missing(bench):
    path = bench.folder / "nowhere.safetensors"
    bench.main("TipXPP", "IMO.ADAPTER", path).assert_refused(str(path), "IMO.ADAPTER", "bash scripts/imo_adapter.sh")


@pytest.mark.parametrize("size", (0, 4, 100, 1000, 5000))
def test_truncated_adapter(bench, assets, size):
    path = bench.folder / "cut.safetensors"
    path.write_bytes(assets.adapter.read_bytes()[:size])
    bench.main("TipXPP", "IMO.ADAPTER", path).assert_refused(str(path), "train or copy it again")


def test_adapter_for_another_backbone(bench, assets):
    state = torch.load(assets.backbone, weights_only=True)
    state["visual.proj"] += 1
    torch.save(state, bench.folder / "other.pt")
    run = bench.main("TipXPP", "MODEL.BACKBONE.NAME", bench.folder / "other.pt")
    run.assert_refused(str(assets.adapter), "another backbone", "IMO.ADAPTER")


# Writing.


def test_output_folder_is_a_file(bench):
    path = bench.folder / "taken"
    path.write_text("mine")
    for output in (path, path / "below"):
        run = bench.main("TipAdapter", output=output)
        Finished(run.status, run.out, run.err, bench.folder).assert_refused("--output-dir", str(output))
    assert path.read_text() == "mine"


def test_store_is_a_file(bench):
    path = bench.folder / "taken"
    path.write_text("mine")
    bench.main("TipAdapter", "IMO.STORE", path).assert_refused(str(path))


@pytest.mark.parametrize("trainer", ("TipXPP", "IMOAdapter"))
@pytest.mark.parametrize("name", (".shard", "model.pth.tar", "adapter.safetensors", "results.json"))
def test_disk_full(bench, monkeypatch, trainer, name):
    replace, refused = os.replace, []

    def full(source, target):
        if name in str(target):
            refused.append(target)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
        return replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    run = bench.main(trainer, "IMO.STORE", bench.folder / "store")
    if not refused:
        pytest.skip(f"{trainer} writes no {name}")
    run.assert_refused("No space left on device", "disk")
    assert not [path for path in bench.folder.rglob(".*") if path.is_file()]  # no temporary file is left
    monkeypatch.undo()
    again = bench.main(trainer, "IMO.STORE", bench.folder / "store")
    assert again.status == 0, again.err
    assert again.results["trainer"] == trainer


def test_disk_full_while_writing(bench, assets):
    """In a process of its own, in which no file may grow beyond 16 kB."""
    argv = bench.argv("TipAdapter", "IMO.STORE", bench.folder / "store")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "train.py"), *argv],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384)),
    )
    Finished(run.returncode, run.stdout, run.stderr, bench.folder).assert_refused(".shard", "too large", "disk")


def test_a_failed_run_spoils_nothing_for_the_next(bench):
    """Its log is gone, so the next run's has the name that CoOp's parser reads."""
    assert bench.main("TipAdapter", "MODEL.BACKBONE.NAME", "Nonesuch").status == 2
    run = bench.main("TipAdapter")
    assert "* accuracy" in run.log
    assert sorted(path.name for path in run.folder.iterdir()) == ["cache", "log.txt", "results.json", "surface.npz"]


def test_usage_error_is_argparses(capsys):
    from imo.workbench import cli

    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--seed", "many"])
    assert stopped.value.code == 2
    assert re.search(r"--seed: invalid int value: 'many'", capsys.readouterr().err)
    assert isinstance(sys.stdout, io.TextIOBase)
