"""Checkpoints in the form of the IMO authors' code."""

import shlex

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_blocks import visual_by_hand
from torch import nn
from yacs.config import CfgNode

import imo
from imo.model.adapter import adapters_of, adapters_sha256
from imo.workbench.cli import call

SETTINGS = {
    "ffn_adapt": True,
    "ffn_adapter_init_option": "lora",
    "ffn_adapter_scalar": 0.5,
    "ffn_num": 8,
    "ffn_adapter_layernorm_option": "none",
    "d_model": 64,
}


def tower(model, prefix):
    """The visual tower with its adapters under the authors' names."""
    return {
        prefix + name.replace("adapter.down", "adaptmlp.down_proj").replace("adapter.up", "adaptmlp.up_proj"): value
        for name, value in model.visual.state_dict().items()
    }


def write(folder, state, name="model_epoch_0.pt", **settings):
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / name)
    configs = {"lr": 0.008, "adapter_config": CfgNode({**SETTINGS, **settings}), "epochs": 1}
    (folder / "configs.txt").write_text(str(configs))
    return folder / name


@pytest.fixture
def supervised(adapted_clip, tmp_path):
    head = {"predictor.weight": torch.ones(3, 32), "predictor.bias": torch.ones(3)}
    return write(tmp_path / "supervised", {**tower(adapted_clip, "image_encoder."), **head})


@pytest.fixture
def dino(adapted_clip, tmp_path):
    state = {
        "student": tower(adapted_clip, "module.backbone."),
        "teacher": {**tower(adapted_clip, "backbone."), "head.mlp.0.weight": torch.ones(2)},
        "optimizer": {"param_groups": [{"lr": np.float64(0.1)}]},
        "args": CfgNode({"epochs": 10, "crops": {"scale": (0.25, 1.0)}}),
        "epoch": 3,
    }
    return write(tmp_path / "dino", state, "model_2.pth", ffn_adapter_scalar="0.5")


new_torch = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6), reason="PyTorch < 2.6 refuses objects beside tensors"
)


@pytest.mark.parametrize("kind", ["supervised", pytest.param("dino", marks=new_torch)])
@torch.no_grad()
def test_features_are_those_of_their_formula(request, kind, adapted_clip, tiny_clip, images):
    path = request.getfixturevalue(kind)
    state = torch.load(path, weights_only=False)  # this test's own file
    state = {key.split(".", 1)[1]: value for key, value in state.get("teacher", state).items()}
    adapters = [
        {
            f"{part}.{kind}": state[f"transformer.resblocks.{i}.adaptmlp.{part}_proj.{kind}"]
            for part in ("down", "up")
            for kind in ("weight", "bias")
        }
        for i in (0, 1)
    ]
    expected = visual_by_hand(tiny_clip.visual, images, adapters, scale=0.5)
    plain = tiny_clip.encode_image(images)
    imo.load_adapters(tiny_clip, path)
    torch.testing.assert_close(imo.encode_images(tiny_clip, images, corrected=True), expected, rtol=0, atol=1e-5)
    assert torch.equal(imo.encode_images(tiny_clip, images), plain)
    assert [(a.scale, a.dropout.p) for a in adapters_of(tiny_clip)] == [(0.5, 0.1)] * 2


def test_conversion_keeps_the_adapters_and_their_identity(
    supervised, tiny_clip, adapted_clip, images, tmp_path, capsys
):
    target = tmp_path / "adapter.safetensors"
    assert call("adapter", ["convert", str(supervised), str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: 2 adapters 64 -> 8, scale 0.5\n"
    assert len(load_file(target)) == 8
    assert adapters_sha256(supervised) == adapters_sha256(target)
    imo.load_adapters(tiny_clip, target)
    corrected = [imo.encode_images(model, images, corrected=True) for model in (adapted_clip, tiny_clip)]
    assert torch.equal(*corrected)

    before = adapters_sha256(supervised)
    text = (supervised.parent / "configs.txt").read_text()
    (supervised.parent / "configs.txt").write_text(text.replace("0.5", "0.25"))
    assert adapters_sha256(supervised) != before, "another scale makes other features"


def refused(capsys, *argv):
    """The conversion's one line on stderr; no file is left."""
    assert call("adapter", ["convert", *map(str, argv)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    return err


def test_missing_settings_can_be_given(supervised, tmp_path, capsys):
    (supervised.parent / "configs.txt").unlink()
    target = tmp_path / "adapter.safetensors"
    error = refused(capsys, supervised, target)
    assert "configs.txt: is missing" in error and "--scale" in error and not target.exists()
    assert call("adapter", ["convert", str(supervised), str(target), "--scale", "0.03"]) == 0
    assert "scale 0.03" in capsys.readouterr().out


def test_the_command_that_a_refusal_prints_can_be_pasted(supervised, tmp_path, capsys):
    folder = tmp_path / "it's $(touch fuse); touch fuse #"
    folder.mkdir()
    source = supervised.rename(folder / "a b.pt")
    command = refused(capsys, source, tmp_path / "x.safetensors").partition("published): ")[2]
    assert shlex.split(command, comments=True) == [
        *("imo", "adapter", "convert", str(source), "adapter.safetensors", "--scale", "0.03")
    ]


def test_a_conversion_is_bound_to_its_backbone(supervised, tiny_clip, tmp_path, capsys):
    target = tmp_path / "adapter.safetensors"
    torch.save(tiny_clip.state_dict(), tmp_path / "tiny.pt")
    assert call("adapter", ["convert", str(supervised), str(target), "--backbone", str(tmp_path / "tiny.pt")]) == 0
    with pytest.raises(imo.InputError, match="another backbone"):
        imo.load_adapters(tiny_clip, target, backbone_sha256="abc")


def test_a_target_of_another_kind_is_refused(supervised, tmp_path, capsys):
    assert ".safetensors" in refused(capsys, supervised, tmp_path / "adapter.pt")
    assert "missing.pt" in refused(capsys, tmp_path / "missing.pt", tmp_path / "adapter.safetensors")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ffn_adapter_scalar": "learnable_scalar"}, ["learnable_scalar", "--scale"]),
        ({"ffn_adapter_layernorm_option": "in"}, ["ffn_adapter_layernorm_option"]),
        ({"ffn_num": 16}, ["ffn_num 16", "weights 8"]),
        ({"d_model": 768}, ["d_model 768", "weights 64"]),
    ],
)
def test_other_settings_are_refused(adapted_clip, tiny_clip, tmp_path, settings, words):
    path = write(tmp_path / "other", tower(adapted_clip, "image_encoder."), **settings)
    with pytest.raises(imo.InputError) as error:
        imo.load_adapters(tiny_clip, path)
    assert all(word in str(error.value) for word in words), error.value
    assert not adapters_of(tiny_clip)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("resblocks.1.adaptmlp.up_proj.bias", None),
        ("resblocks.1.adaptmlp.up_proj.bias", "resblocks.1.adaptmlp.scale"),
        ("resblocks.1.adaptmlp.up_proj.bias", "resblocks.1.adaptmlp.adapter_layer_norm_before.bias"),
    ],
)
def test_other_adapters_are_refused(adapted_clip, tiny_clip, tmp_path, old, new):
    state = tower(adapted_clip, "image_encoder.")
    value = state.pop(f"image_encoder.transformer.{old}")
    if new:
        state[f"image_encoder.transformer.{new}"] = value
    with pytest.raises(imo.InputError, match=r"model_epoch_0\.pt"):
        imo.load_adapters(tiny_clip, write(tmp_path / "other", state))


def test_adapters_of_another_backbone_are_known_by_its_weights(supervised, tiny_clip):
    nn.init.normal_(tiny_clip.visual.positional_embedding)
    with pytest.raises(imo.InputError, match=r"another backbone.*positional_embedding"):
        imo.load_adapters(tiny_clip, supervised)
    assert not adapters_of(tiny_clip)


def test_a_backbone_in_half_precision_is_recognised(supervised, tiny_clip):
    imo.load_adapters(tiny_clip.bfloat16(), supervised)
    assert len(adapters_of(tiny_clip)) == 2


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(supervised, tiny_clip, share):
    content = supervised.read_bytes()
    supervised.write_bytes(content[: int(share * len(content))])
    with pytest.raises(imo.InputError, match=r"model_epoch_0\.pt"):
        imo.load_adapters(tiny_clip, supervised)


@pytest.mark.parametrize("content", [torch.zeros(2), [1], {"weight": torch.zeros(2)}, {"teacher": 3}, {}])
def test_checkpoints_of_something_else_are_refused(tiny_clip, tmp_path, content):
    with pytest.raises(imo.InputError, match=r"model_epoch_0\.pt"):
        imo.load_adapters(tiny_clip, write(tmp_path / "other", content))


def test_other_objects_are_refused_and_not_made(tiny_clip, malicious_file):
    path, fuse = malicious_file
    with pytest.raises(imo.InputError, match=r"more than tensors.*weights_only=False"):
        imo.load_adapters(tiny_clip, path)
    assert not fuse.exists()


@pytest.mark.parametrize("text", ["{{'ffn_adapter_scalar': open({!r}, 'w')}}", "{{" * 99999, "\0", "import os", "{!r}"])
def test_settings_are_not_evaluated(supervised, tiny_clip, tmp_path, text):
    fuse = tmp_path / "fuse"
    (supervised.parent / "configs.txt").write_text(text.format(str(fuse)))
    with pytest.raises(imo.InputError, match=r"configs\.txt"):
        imo.load_adapters(tiny_clip, supervised)
    assert not fuse.exists()


def test_help_helps(capsys):
    with pytest.raises(SystemExit, match="0"):
        call("adapter", ["convert", "--help"])
    out = capsys.readouterr().out
    assert "--scale" in out and "configs.txt" in out and ".safetensors" in out
