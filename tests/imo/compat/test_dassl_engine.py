from __future__ import annotations

import os
import re

import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase
from dassl.engine import TRAINER_REGISTRY, SimpleTrainer, TrainerX, TrainerXU, build_trainer
from dassl.metrics import compute_accuracy
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import set_random_seed
from torch import nn
from torch.nn import functional as F

NUMBER = r"\d+\.\d+"
PROGRESS = re.compile(
    rf"epoch \[(\d)/(\d)\] batch \[(\d)/(\d)\] time {NUMBER} \({NUMBER}\) data {NUMBER} \({NUMBER}\)"
    r" loss \d+\.\d{4} \(\d+\.\d{4}\) acc \d+\.\d{4} \(\d+\.\d{4}\) lr (\d\.\d{4}e[+-]\d\d) eta \d+:\d\d:\d\d"
)


class Linear:
    """What the trainers of these tests share."""

    def build_model(self):
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, self.num_classes))
        self.optim = build_optimizer(self.model, self.cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, self.cfg.OPTIM)
        self.register_model("linear", self.model, self.optim, self.sched)

    def forward_backward(self, *batches):
        image, label, *_ = self.parse_batch_train(*batches)
        output = self.model(image)
        loss = F.cross_entropy(output, label)
        self.model_backward_and_update(loss)
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()
        return {"loss": loss.item(), "acc": compute_accuracy(output, label)[0].item()}


class LinearX(Linear, TrainerX):
    pass


class LinearXU(Linear, TrainerXU):
    pass


@pytest.fixture
def cfg(make_items, tmp_path, monkeypatch):
    train, test = make_items([0, 1, 2] * 4), make_items([0, 1, 2])

    class Shades(DatasetBase):
        def __init__(self, cfg):
            unlabelled = train[:8] if cfg.DATASET.ALL_AS_UNLABELED else None
            super().__init__(train_x=train, train_u=unlabelled, val=test, test=test)

    DATASET_REGISTRY.register(Shades, force=True)
    TRAINER_REGISTRY.register(LinearX, force=True)
    TRAINER_REGISTRY.register(LinearXU, force=True)
    monkeypatch.setattr("dassl.engine.base.TrainerBase.init_writer", lambda self, log_dir: None)
    cfg = get_cfg_default()
    cfg.USE_CUDA = False
    cfg.OUTPUT_DIR = str(tmp_path / "run")
    cfg.DATASET.NAME, cfg.TRAINER.NAME = "Shades", "LinearX"
    cfg.INPUT.SIZE, cfg.INPUT.TRANSFORMS = (4, 4), ("random_flip", "normalize")
    cfg.DATALOADER.NUM_WORKERS, cfg.DATALOADER.TRAIN_X.BATCH_SIZE = 0, 4
    cfg.OPTIM.NAME, cfg.OPTIM.LR, cfg.OPTIM.MAX_EPOCH, cfg.OPTIM.LR_SCHEDULER = "sgd", 0.02, 2, "cosine"
    cfg.OPTIM.WARMUP_EPOCH, cfg.OPTIM.WARMUP_TYPE = 1, "constant"
    cfg.TRAIN.PRINT_FREQ, cfg.TRAIN.CHECKPOINT_FREQ = 1, 1
    return cfg


def run(cfg):
    set_random_seed(1)
    trainer = build_trainer(cfg)
    trainer.train()
    return trainer


def test_log_of_a_run(cfg, capsys):
    run(cfg)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Loading trainer: LinearX", "Loading dataset: Shades"]
    table = lines.index("# classes  3")
    assert re.fullmatch(r"-+  -+", lines[table - 2]) and lines[table - 1] == "Dataset    Shades"
    assert lines[table + 1 : table + 4] == ["# train_x  12", "# val      3", "# test     3"]
    assert lines[table + 5 : table + 7] == [
        "Loading evaluator: Classification",
        "No checkpoint found, train from scratch",
    ]
    progress = [PROGRESS.fullmatch(line) for line in lines if line.startswith("epoch")]
    assert [match.groups() for match in progress] == [
        (epoch, "2", batch, "3", lr)
        for epoch, lrs in (("1", ["1.0000e-05"] * 2 + ["2.0000e-02"]), ("2", ["2.0000e-02"] * 2 + ["1.0000e-02"]))
        for batch, lr in zip("123", lrs)
    ]
    path = os.path.join(cfg.OUTPUT_DIR, "linear", "model.pth.tar-")
    assert [line for line in lines if "Checkpoint" in line] == [f"Checkpoint saved to {path}{n}" for n in (1, 2)]
    end = lines.index("Finish training")
    assert lines[end + 1 : end + 4] == ["Deploy the last-epoch model", "Evaluate on the *test* set", "=> result"]
    assert re.fullmatch(r"Elapsed: \d:\d\d:\d\d", lines[-1])


def test_progress_is_printed_every_so_many_batches(cfg, capsys):
    cfg.TRAIN.PRINT_FREQ, cfg.OPTIM.MAX_EPOCH = 2, 1
    run(cfg)
    assert re.findall(r"batch \[(\d)/3\]", capsys.readouterr().out) == ["2"]


def test_resuming_ends_where_the_whole_run_did(cfg, capsys):
    cfg.OPTIM.MAX_EPOCH, cfg.INPUT.TRANSFORMS = 3, ("normalize",)
    cfg.DATALOADER.TRAIN_X.SAMPLER = "SequentialSampler"
    whole = run(cfg).model[1].weight.detach().clone()
    capsys.readouterr()

    folder = os.path.join(cfg.OUTPUT_DIR, "linear")
    with open(os.path.join(folder, "checkpoint"), "w") as file:
        file.write("model.pth.tar-2\n")
    os.remove(os.path.join(folder, "model.pth.tar-3"))
    trainer = build_trainer(cfg)
    assert not torch.equal(trainer.model[1].weight, whole)
    trainer.train()
    out = capsys.readouterr().out
    assert f"Found checkpoint at {cfg.OUTPUT_DIR} (will resume training)" in out
    assert "Previous epoch: 2" in out
    assert re.findall(r"epoch \[(\d)/3\] batch \[1/3\].* lr (\S+)", out) == [("3", "1.5000e-02")]
    assert os.path.exists(os.path.join(folder, "model.pth.tar-3"))
    torch.testing.assert_close(trainer.model[1].weight.detach(), whole)


def test_resume_folder_comes_before_output_folder(cfg, tmp_path, capsys):
    run(cfg)
    cfg.RESUME, cfg.OUTPUT_DIR, cfg.OPTIM.MAX_EPOCH = cfg.OUTPUT_DIR, str(tmp_path / "other"), 3
    capsys.readouterr()
    run(cfg)
    assert re.findall(r"epoch \[(\d)/3\] batch \[1", capsys.readouterr().out) == ["3"]
    assert os.listdir(tmp_path / "other" / "linear") != []


def test_loading_weights(cfg, tmp_path, capsys):
    trained = run(cfg)
    fresh = build_trainer(cfg)
    capsys.readouterr()
    fresh.load_model(cfg.OUTPUT_DIR, epoch=1)
    path = os.path.join(cfg.OUTPUT_DIR, "linear", "model.pth.tar-1")
    assert capsys.readouterr().out == f"Load {path} to linear (epoch=1, val_result=None)\n"
    assert not torch.equal(fresh.model[1].weight, trained.model[1].weight)
    fresh.load_model(cfg.OUTPUT_DIR, epoch=2)
    assert torch.equal(fresh.model[1].weight, trained.model[1].weight)
    with pytest.raises(FileNotFoundError, match=re.escape(os.path.join("linear", "model.pth.tar-9"))):
        fresh.load_model(cfg.OUTPUT_DIR, epoch=9)


def test_best_model(cfg, capsys):
    cfg.TEST.FINAL_MODEL = "best_val"
    results = iter([30.0, 20.0])
    cfg.TRAIN.CHECKPOINT_FREQ = 0
    set_random_seed(1)
    trainer = build_trainer(cfg)
    evaluate = trainer.test
    trainer.test = lambda split=None: next(results) if split == "val" else evaluate(split)
    trainer.train()
    out = capsys.readouterr().out
    assert "Deploy the model with the best val performance" in out
    assert re.search(r"to linear \(epoch=1, val_result=30\.0\)", out)
    files = sorted(os.listdir(os.path.join(cfg.OUTPUT_DIR, "linear")))
    assert files == ["checkpoint", "model-best.pth.tar", "model.pth.tar-2"]


@pytest.mark.parametrize(("count", "batches"), [("train_x", 3), ("train_u", 4), ("smaller_one", 3)])
def test_pairs_of_batches(cfg, count, batches, capsys):
    cfg.TRAINER.NAME, cfg.DATASET.ALL_AS_UNLABELED, cfg.TRAIN.COUNT_ITER = "LinearXU", True, count
    cfg.DATALOADER.TRAIN_U.SAME_AS_X, cfg.DATALOADER.TRAIN_U.BATCH_SIZE = False, 2
    cfg.OPTIM.MAX_EPOCH = 1
    run(cfg)
    shown = re.findall(r"batch \[(\d)/(\d)\]", capsys.readouterr().out)
    assert shown == [(str(n + 1), str(batches)) for n in range(batches)]


def test_loss_must_be_finite(cfg):
    trainer = build_trainer(cfg)
    with pytest.raises(FloatingPointError):
        trainer.model_backward(torch.tensor(float("nan")))


def test_models_are_named_once(cfg):
    trainer = build_trainer(cfg)
    with pytest.raises(ValueError, match="'linear'"):
        trainer.register_model("linear", nn.Linear(1, 1))
    with pytest.raises(KeyError, match="other"):
        trainer.update_lr("other")


def test_there_is_no_default_model(cfg):
    with pytest.raises(NotImplementedError, match="SimpleTrainer must override build_model"):
        SimpleTrainer(cfg)
