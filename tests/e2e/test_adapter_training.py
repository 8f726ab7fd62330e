"""Training of the adapters: objectives, resuming, pieces, processes, validation on held-out classes, failures."""

import importlib.util
import multiprocessing
import signal
import sys
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
import torch
from bench import ROOT, Finished
from safetensors.torch import load_file
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

import imo
from imo.model.adapter import adapters_of
from imo.trainers.base import distributed
from imo.trainers.imo_adapter import IMOAdapter

OPTION = "TRAINER.IMOADAPTER"
SMALL = ("DATALOADER.TRAIN_X.BATCH_SIZE", 6, "OPTIM.MAX_EPOCH", 3, "TRAIN.PRINT_FREQ", 1, f"{OPTION}.SCALE", 0.5)
DINO = (
    *(f"{OPTION}.OBJECTIVE", "dino", f"{OPTION}.DINO.OUTPUT", 16, f"{OPTION}.DINO.HIDDEN", 8, "OPTIM.LR", 1e-3),
    *(f"{OPTION}.DINO.LOCAL_VIEWS", 2, f"{OPTION}.DINO.LOCAL_SIZE", 16, f"{OPTION}.DINO.MOMENTUM", 0.5),
)
# For comparisons up to rounding: AdamW makes a whole step of the sign of a gradient that is nearly zero.
EXACT = (f"{OPTION}.DROPOUT", 0.0, "OPTIM.NAME", "sgd", "OPTIM.LR", 0.1)
needs_lightly = pytest.mark.skipif(not importlib.util.find_spec("lightly"), reason="the extra dino is not installed")
OBJECTIVES = [pytest.param((), id="supervised"), pytest.param(DINO, id="dino", marks=needs_lightly)]


def adapters(run):
    assert run.status == 0, run.err
    return load_file(run.folder / "adapter.safetensors")


def assert_close(one, other):
    """What began at zero has moved alike, up to rounding."""
    assert one.keys() == other.keys()
    for name in (name for name in one if "down.weight" not in name):
        size = one[name].abs().max()
        assert size > 0
        torch.testing.assert_close(one[name] / size, other[name] / size, rtol=0, atol=1e-3)


@pytest.fixture
def interrupted(monkeypatch):
    """interrupted(epoch): the next run stops dead before this epoch, counted from 0."""

    def arm(epoch):
        before_epoch = IMOAdapter.before_epoch

        def stop(self):
            if self.epoch == epoch:
                raise KeyboardInterrupt
            before_epoch(self)

        monkeypatch.setattr(IMOAdapter, "before_epoch", stop)

    yield arm


@pytest.mark.parametrize("options", OBJECTIVES)
def test_interrupted_and_resumed_equals_uninterrupted(bench, monkeypatch, interrupted, options):
    options = (*SMALL, *options, f"{OPTION}.HOLD_OUT", 0.5)
    whole = bench.main("IMOAdapter", *options, output=bench.folder / "whole")
    folder = bench.folder / "halves"
    interrupted(2)
    assert bench.main("IMOAdapter", *options, output=folder).status == 130
    monkeypatch.undo()
    assert [path.name for path in (folder / "adapter").glob("*tar*")] == ["model.pth.tar-2"]  # the last one alone
    assert not (folder / "results.json").exists()
    torch.manual_seed(99)  # whatever state the machine was left in
    other = bench.main("IMOAdapter", *options, output=bench.folder / "other", flags=("--resume", folder))
    halves = bench.main("IMOAdapter", *options, output=folder)
    for run in (halves, other):
        assert all(torch.equal(value, adapters(whole)[name]) for name, value in adapters(run).items())
        for key in ("training", "accuracy"):
            assert run.results[key] == whole.results[key]
        assert "epoch [1/3]" not in run.out
    assert len(whole.results["training"]["loss_curve"]) == 3 * 1  # 2 of 4 classes, 8 images, batches of 6
    saved = torch.load(folder / "adapter/model-best.pth.tar", weights_only=True)["state_dict"]["progress._extra_state"]
    assert saved["seconds"] == pytest.approx(halves.results["seconds"]["train"], abs=1e-3)


def test_half_done_run_of_other_settings_is_refused(bench, monkeypatch, interrupted):
    folder = bench.folder / "run"
    interrupted(1)
    assert bench.main("IMOAdapter", *SMALL, output=folder).status == 130
    monkeypatch.undo()
    bench.main("IMOAdapter", *SMALL, "OPTIM.LR", 0.1, output=folder).assert_refused(str(folder), "other settings")
    bench.main("IMOAdapter", *SMALL, flags=("--resume", bench.folder / "none")).assert_refused("--resume", "none")
    path = folder / "adapter/model.pth.tar-1"
    path.write_bytes(path.read_bytes()[:1000])
    bench.main("IMOAdapter", *SMALL, output=folder).assert_refused("--resume", str(folder), "damaged")


@pytest.mark.parametrize("options", OBJECTIVES)
def test_pieces_of_a_batch_change_nothing(bench, options):
    options = (*SMALL, *options, *EXACT)
    runs = [
        bench.main(
            "IMOAdapter", *SMALL, *options, *EXACT, f"{OPTION}.ACCUMULATE", count, output=bench.folder / str(count)
        )
        for count in (1, 4)  # pieces of 2, 2, 2 images
    ]
    assert_close(*map(adapters, runs))
    np.testing.assert_allclose(*(run.results["training"]["loss_curve"] for run in runs), rtol=1e-4)


@pytest.fixture(scope="module", autouse=True)
def _import_server():
    """Workers are forked from a process that imports everything once, while other tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        modules = ["imo.workbench.train", "lightly.loss", "lightly.transforms"]
        multiprocessing.get_context("forkserver").set_forkserver_preload(modules)
        forkserver.ensure_running()


@pytest.fixture
def two_processes(bench, monkeypatch):
    """two_processes(trainer, *options): `torchrun --nproc_per_node=2 train.py ...`; what both print is put together."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(trainer, *options, **more):
        argv, logs = bench.argv(trainer, *options, **more), bench.folder / "logs"
        launch = ["--nproc_per_node=2", "--standalone", "--monitor_interval=0.1", f"--log_dir={logs}", "--redirects=3"]
        try:
            torchrun.main([*launch, "--run_path", "--start_method=forkserver", str(ROOT / "train.py"), *argv])
            status = 0
        except ChildFailedError:
            status = 1
        out, err = (
            "".join(path.read_text() for path in sorted(logs.rglob(f"std{name}.log"))) for name in ("out", "err")
        )
        return Finished(status, out, err, Path(argv[argv.index("--output-dir") + 1]))

    yield run
    for number, handler in handlers.items():  # torchrun leaves its own
        signal.signal(number, handler)


def test_two_processes_equal_one(bench, two_processes):
    dino = DINO if importlib.util.find_spec("lightly") else ()  # its center is shared too
    options = (*SMALL, *dino, *EXACT, f"{OPTION}.HOLD_OUT", 0.5)
    one = bench.main("IMOAdapter", *options, output=bench.folder / "one")
    two = two_processes("IMOAdapter", *options, output=bench.folder / "two")
    assert_close(adapters(one), adapters(two))
    np.testing.assert_allclose(*(run.results["training"]["loss_curve"] for run in (two, one)), rtol=1e-4)
    assert two.out.count("Finish training") == two.log.count("Finish training") == 1  # the first process alone writes
    assert sorted(path.name for path in two.folder.iterdir()) == sorted(path.name for path in one.folder.iterdir())


def test_failure_of_one_process_ends_all(bench, two_processes):
    path = next((bench.copy_data() / "images/0").glob("train_*.png"))
    path.write_text("no image")
    run = two_processes("IMOAdapter", *SMALL, shots=6)
    assert run.status != 0
    assert f"error: {path}: image cannot be read" in run.err
    assert not (run.folder / "results.json").exists()


def test_encoding_is_shared_out(bench, finished, two_processes):
    one = finished("TipXPP")
    bench.store = bench.folder / "features"
    two = two_processes("TipXPP", "DATALOADER.NUM_WORKERS", 0)
    assert two.status == 0, two.err
    views = 12 + 20 + 4 * 4 * 10  # validation, test, support
    assert two.results["images_encoded"] == {"clip": views, "adapter": views}
    assert two.results["accuracy"] == one.results["accuracy"]
    torch.testing.assert_close(two.state()["keys"], one.state()["keys"])
    encoded_again = bench.main("TipXPP", output=bench.folder / "again").results["images_encoded"]
    assert encoded_again == {"clip": 0, "adapter": 0}
    assert sorted(path.name for path in two.folder.iterdir()) == sorted(path.name for path in one.folder.iterdir())


def test_other_trainers_run_in_one_process(bench, monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    bench.main("CoOp").assert_refused("torchrun", "CoOp")


def test_patience_keeps_the_epoch_of_least_overlap(bench, monkeypatch):
    areas = iter([0.5, 0.3, 0.4, 0.35, 0.1])

    def overlap(features, labels, real=imo.overlap):
        found = real(features, labels)
        return type(found)(**{**vars(found), "area": next(areas, found.area)})

    monkeypatch.setattr("imo.trainers.adapter.validation.overlap", overlap)
    options = (*SMALL, "OPTIM.MAX_EPOCH", 9, f"{OPTION}.HOLD_OUT", 0.5)
    stopped = bench.main("IMOAdapter", *options, f"{OPTION}.PATIENCE", 2)
    training = stopped.results["training"]
    assert [found["area"] for found in training["held_out_overlap"]] == pytest.approx([0.5, 0.3, 0.4, 0.35])
    assert len(training["held_out_classes"]) == 2 and stopped.results["n_test"] == 10
    monkeypatch.undo()
    two_epochs = IMOAdapter.after_epoch

    def keep(self):
        two_epochs(self)
        if self.epoch == 1:
            torch.save([a.state_dict() for a in adapters_of(self.clip_model)], bench.folder / "second.pt")

    monkeypatch.setattr(IMOAdapter, "after_epoch", keep)
    last = adapters(bench.main("IMOAdapter", *options, output=bench.folder / "all"))
    kept = adapters(stopped)
    for i, state in enumerate(torch.load(bench.folder / "second.pt", weights_only=True)):
        assert all(torch.equal(value, kept[f"resblocks.{i}.{name}"]) for name, value in state.items())
    assert any(not torch.equal(last[name], kept[name]) for name in kept)


def test_held_out_classes_are_not_trained_on(bench, monkeypatch):
    trainer = bench.trainer("IMOAdapter", *SMALL, f"{OPTION}.HOLD_OUT", 0.5)
    seen = {item.label for item in trainer.train_loader_x.dataset.data_source}
    validated = {item.label for item in trainer.held_out_loader.dataset.data_source}
    assert (len(seen), len(validated), seen & validated) == (2, 2, set())
    assert all("val_" in item.impath for item in trainer.held_out_loader.dataset.data_source)


@pytest.mark.parametrize(
    "options, words",
    [
        ((f"{OPTION}.OBJECTIVE", "moco"), ("OBJECTIVE", "dino", "moco")),
        ((f"{OPTION}.PREC", "amp"), ("PREC", "GPU")),
        ((f"{OPTION}.PREC", "fp8"), ("PREC", "bf16", "fp8")),
        ((f"{OPTION}.ACCUMULATE", 0), ("ACCUMULATE",)),
        ((f"{OPTION}.WARMUP_EPOCHS", 1), ("WARMUP_EPOCHS", "MAX_EPOCH")),
        ((f"{OPTION}.PATIENCE", 1), ("HOLD_OUT", "PATIENCE")),
        ((f"{OPTION}.HOLD_OUT", 0.9), ("HOLD_OUT", "4 classes")),
        ((*DINO, f"{OPTION}.DINO.HEAD", "lost"), ("HEAD", "paper", "lost")),
        ((*DINO, f"{OPTION}.DINO.MOMENTUM", 1.5), ("MOMENTUM", "1.5")),
        pytest.param((*DINO, f"{OPTION}.DINO.LOCAL_SIZE", 12), ("LOCAL_SIZE", "8", "12"), marks=needs_lightly),
    ],
)
def test_options_that_do_not_fit(bench, options, words):
    if torch.cuda.is_available() and "amp" in options:
        pytest.skip("here it fits")
    bench.main("IMOAdapter", *options).assert_refused(*words)


def test_dino_without_its_package(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightly", None)
    bench.main("IMOAdapter", *DINO).assert_refused("OBJECTIVE", "pip install lightly")


def test_bf16_trains_nearly_the_same(bench):
    options = (*SMALL, *EXACT)
    runs = [bench.main("IMOAdapter", *options, f"{OPTION}.PREC", p, output=bench.folder / p) for p in ("fp32", "bf16")]
    exact, rounded = (np.array(run.results["training"]["loss_curve"])[:, 1] for run in runs)
    assert 0 < np.abs(exact - rounded).max() < 0.05


def test_tensorboard_has_the_curve(bench):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = bench.main("IMOAdapter", *SMALL)
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert len(events.Scalars("train/loss")) == len(run.results["training"]["loss_curve"])
