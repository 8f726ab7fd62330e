from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from dassl.config import get_cfg_default
from dassl.optim import build_lr_scheduler, build_optimizer
from dassl.utils import load_checkpoint, load_pretrained_weights, resume_from_checkpoint, save_checkpoint
from torch import nn


def build(scheduler="multi_step"):
    cfg = get_cfg_default().OPTIM
    cfg.LR_SCHEDULER, cfg.STEPSIZE, cfg.WARMUP_EPOCH = scheduler, (2, 3), 1
    model = nn.Linear(3, 2)
    optimizer = build_optimizer(model, cfg)
    return model, optimizer, build_lr_scheduler(optimizer, cfg)


def state_of(model, optimizer, scheduler, epoch=3):
    return {
        "state_dict": {f"module.{key}": value for key, value in model.state_dict().items()},
        "epoch": epoch,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "val_result": np.float64(61.5),
    }


def train(model, optimizer, scheduler, epochs):
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("kind", ["single_step", "multi_step", "cosine"])
def test_round_trip_goes_on_as_if_never_stopped(tmp_path, kind, capsys):
    torch.manual_seed(0)
    first = build(kind)
    train(*first, epochs=2)
    save_checkpoint(state_of(*first, epoch=2), str(tmp_path))
    expected = train(*first, epochs=3)

    second = build(kind)
    assert resume_from_checkpoint(str(tmp_path), *second) == 2
    assert train(*second, epochs=3) == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(second[0].weight, first[0].weight)
    assert "Previous epoch: 2" in capsys.readouterr().out


def test_file_names_and_content(tmp_path, capsys):
    state = state_of(*build())
    save_checkpoint(state, str(tmp_path), is_best=True)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "model-best.pth.tar", "model.pth.tar-3"]
    assert (tmp_path / "checkpoint").read_text() == "model.pth.tar-3\n"
    assert f"Checkpoint saved to {tmp_path / 'model.pth.tar-3'}" in capsys.readouterr().out
    content = load_checkpoint(str(tmp_path / "model-best.pth.tar"))
    assert set(content) == {"state_dict", "epoch", "optimizer", "scheduler", "val_result"}
    assert set(content["state_dict"]) == {"weight", "bias"}
    assert content["val_result"] == 61.5
    assert "module.weight" in state["state_dict"], "the caller's state must stay as it is"
    save_checkpoint(state, str(tmp_path), model_name="named")
    assert (tmp_path / "checkpoint").read_text() == "named\n"


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    state = state_of(*build())
    save_checkpoint(state, str(tmp_path))
    before = (tmp_path / "model.pth.tar-3").read_bytes()

    def fail(content, path):
        with open(path, "w") as file:
            file.write("half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(state, str(tmp_path))
    assert (tmp_path / "model.pth.tar-3").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "model.pth.tar-3"]


class Harmful:
    ran = False

    def __reduce__(self):
        return setattr, (Harmful, "ran", True)


def test_loading_runs_no_code(tmp_path):
    path = str(tmp_path / "model.pth.tar-1")
    torch.save({"epoch": 1, "state_dict": {}, "scheduler": Harmful()}, path)
    with pytest.raises(RuntimeError, match=r"model\.pth\.tar-1.*more than tensors"):
        load_checkpoint(path)
    assert Harmful.ran is False


def test_loading_a_missing_or_broken_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        load_checkpoint(str(tmp_path / "absent"))
    with pytest.raises(ValueError):
        load_checkpoint(None)
    (tmp_path / "broken").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(RuntimeError, match="broken"):
        load_checkpoint(str(tmp_path / "broken"))


def test_pretrained_weights_of_another_shape_are_left_out(tmp_path, capsys):
    path = str(tmp_path / "weights")
    torch.save({"module.weight": torch.ones(2, 3), "bias": torch.ones(5), "extra": torch.ones(1)}, path)
    model = nn.Linear(3, 2)
    bias = model.bias.detach().clone()
    load_pretrained_weights(model, path)
    assert torch.equal(model.weight, torch.ones(2, 3))
    assert torch.equal(model.bias, bias)
    assert "unmatched keys or size: ['bias', 'extra']" in capsys.readouterr().out
    torch.save({"other": torch.ones(1)}, path)
    with pytest.warns(UserWarning, match="check the key names"):
        load_pretrained_weights(model, path)
