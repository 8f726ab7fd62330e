import json
import math

import pytest
import torch
import torch.nn.functional as F
from clip.model import ModifiedResNet, ResidualAttentionBlock, VisionTransformer
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import imo
from imo.model.adapter import adapters_of, adapters_switched


def visual_by_hand(visual, images, adapters, scale):
    """CLIP's vision transformer, written out, with s * up(relu(down(x))), x after attention, beside each MLP."""
    x = F.conv2d(images, visual.conv1.weight, stride=visual.conv1.stride).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], 1) + visual.positional_embedding
    x = visual.ln_pre(x).transpose(0, 1)
    for block, adapter in zip(visual.transformer.resblocks, adapters):
        y = block.ln_1(x)
        x = x + block.attn(y, y, y, need_weights=False)[0]
        hidden = F.linear(x, adapter["down.weight"], adapter["down.bias"]).clamp(min=0)
        bottleneck = scale * F.linear(hidden, adapter["up.weight"], adapter["up.bias"])
        x = x + block.mlp(block.ln_2(x)) + bottleneck
    return visual.ln_post(x[0]) @ visual.proj


def weights_of(model):
    return [adapter.state_dict() for adapter in adapters_of(model)]


def vision_model(visual):
    model = nn.Module()
    model.visual = visual
    return model


@torch.no_grad()
def test_corrected_features_follow_the_formula_block_by_block(adapted_clip, images):
    expected = visual_by_hand(adapted_clip.visual, images, weights_of(adapted_clip), scale=0.5)
    features = imo.encode_images(adapted_clip, images, corrected=True)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert (features - imo.encode_images(adapted_clip, images)).abs().max() > 0.1


@torch.no_grad()
def test_with_adapters_off_features_are_clip_s_bit_for_bit(tiny_clip, images):
    plain = tiny_clip.encode_image(images)
    imo.attach_adapters(tiny_clip, bottleneck=8)
    for adapter in adapters_of(tiny_clip):
        nn.init.normal_(adapter.up.weight)
    assert torch.equal(imo.encode_images(tiny_clip, images, corrected=False), plain)


@torch.no_grad()
def test_fresh_adapters_change_nothing(tiny_clip, images):
    plain = tiny_clip.encode_image(images)
    imo.attach_adapters(tiny_clip)
    assert torch.equal(imo.encode_images(tiny_clip, images, corrected=True), plain)


def test_a_fresh_adapter_is_ready_to_learn(tiny_clip):
    imo.attach_adapters(tiny_clip, bottleneck=16)
    for weights in weights_of(tiny_clip):
        assert not weights["up.weight"].any()
        assert not weights["up.bias"].any()
        assert not weights["down.bias"].any()
        bound = 1 / math.sqrt(64)  # Kaiming-uniform with a = sqrt(5): 1 / sqrt(inputs)
        assert 0.9 * bound < weights["down.weight"].abs().max() <= bound


def test_only_adapters_take_gradients(adapted_clip, images):
    adapted_clip.encode_image(images).sum().backward()
    learning = {name for name, parameter in adapted_clip.named_parameters() if parameter.grad is not None}
    parts = ("down.weight", "down.bias", "up.weight", "up.bias")
    assert learning == {f"visual.transformer.resblocks.{i}.adapter.{part}" for i in (0, 1) for part in parts}
    assert learning == {name for name, parameter in adapted_clip.named_parameters() if parameter.requires_grad}


def test_vit_b16_gets_1189632_adapter_parameters():
    with torch.device("meta"):
        model = vision_model(VisionTransformer(224, 16, 768, 12, 12, 512))
    imo.attach_adapters(model)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 1_189_632


def test_dropout_acts_in_training_alone(tiny_clip):
    imo.attach_adapters(tiny_clip, bottleneck=8, scale=1.0, dropout=0.5)
    adapter = adapters_of(tiny_clip)[0]
    nn.init.ones_(adapter.up.weight)
    x = torch.ones(1, 64)
    expected = torch.relu(adapter.down(x)).sum().expand(1, 64)
    torch.testing.assert_close(adapter(x), expected)
    torch.manual_seed(0)
    adapter.train()
    assert len({round(adapter(x)[0, 0].item(), 4) for _ in range(20)}) > 1


def test_the_switch_goes_back_also_after_an_error(adapted_clip, images):
    before = imo.encode_images(adapted_clip, images, corrected=True)
    with pytest.raises(KeyError), adapters_switched(adapted_clip, False):
        assert not any(adapter.enabled for adapter in adapters_of(adapted_clip))
        raise KeyError
    assert all(adapter.enabled for adapter in adapters_of(adapted_clip))
    assert torch.equal(imo.encode_images(adapted_clip, images, corrected=True), before)


def test_adapters_take_the_precision_of_the_backbone(tiny_clip):
    tiny_clip.double()
    imo.attach_adapters(tiny_clip)
    assert {p.dtype for p in tiny_clip.visual.parameters()} == {torch.float64}


def test_saved_adapters_come_back_whole(adapted_clip, tiny_clip, images, tmp_path):
    path = tmp_path / "deep" / "adapter.safetensors"
    imo.save_adapters(adapted_clip, path, backbone_sha256="abc")
    imo.load_adapters(tiny_clip, path, backbone_sha256="abc")
    corrected = [imo.encode_images(model, images, corrected=True) for model in (adapted_clip, tiny_clip)]
    assert torch.equal(*corrected)
    assert [(a.scale, a.dropout.p) for a in adapters_of(tiny_clip)] == [(0.5, 0.1)] * 2
    assert not any(p.requires_grad for p in tiny_clip.parameters())


def test_the_file_of_adapters_says_what_they_belong_to(adapted_clip, tmp_path):
    path = tmp_path / "adapter.safetensors"
    imo.save_adapters(adapted_clip.double(), path, backbone_sha256="abc")
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["imo-adapter-1"])["backbone_sha256"] == "abc"
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float32}  # noqa: SIM118 (not a dict)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("saved_in, loaded_in", [("", "abc"), ("abc", ""), ("", "")])
def test_adapters_of_an_unknown_backbone_are_let_in(adapted_clip, tiny_clip, tmp_path, saved_in, loaded_in):
    imo.save_adapters(adapted_clip, tmp_path / "a.safetensors", saved_in)
    imo.load_adapters(tiny_clip, tmp_path / "a.safetensors", loaded_in)
    assert len(adapters_of(tiny_clip)) == 2


def refused(model, path, *message, sha256=""):
    """Loading raises an InputError with the path and `message`, and leaves the model without adapters."""
    with pytest.raises(imo.InputError) as error:
        imo.load_adapters(model, path, sha256)
    for part in (str(path), *message):
        assert part in str(error.value)
    assert not adapters_of(model)


def test_adapters_of_another_backbone_are_refused(adapted_clip, tiny_clip, tmp_path):
    path = tmp_path / "adapter.safetensors"
    imo.save_adapters(adapted_clip, path, backbone_sha256="abc")
    refused(tiny_clip, path, "abc", "def", sha256="def")


@pytest.mark.parametrize("width, layers", [(64, 3), (64, 1), (128, 2)])
def test_adapters_of_another_shape_are_refused(adapted_clip, tmp_path, width, layers):
    path = tmp_path / "adapter.safetensors"
    imo.save_adapters(adapted_clip, path)
    other = vision_model(VisionTransformer(24, 8, width, layers, 1, 32))
    refused(other, path, "2 blocks of width 64", f"{layers} blocks of width {width}")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_of_adapters_is_refused(adapted_clip, tiny_clip, tmp_path, share):
    path = tmp_path / "adapter.safetensors"
    imo.save_adapters(adapted_clip, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(tiny_clip, path, "damaged")


def test_files_that_hold_no_adapters_are_refused(tiny_clip, tmp_path):
    refused(tiny_clip, tmp_path / "missing.safetensors")
    refused(tiny_clip, tmp_path)
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    refused(tiny_clip, tmp_path / "other.safetensors", "not an adapter file")


def test_a_pickle_in_place_of_adapters_is_refused_and_not_run(tiny_clip, malicious_file):
    path, fuse = malicious_file
    refused(tiny_clip, path)
    assert not fuse.exists()


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param("resblocks.1.up.bias", "resblocks.1.norm.bias", id="renamed"),
        pytest.param("resblocks.1.down.weight", None, id="another bottleneck in block 1"),
    ],
)
def test_a_file_with_other_tensors_is_refused(adapted_clip, tiny_clip, tmp_path, old, new):
    path = tmp_path / "adapter.safetensors"
    imo.save_adapters(adapted_clip, path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensor = tensors.pop(old)
    tensors[new or old] = tensor if new else tensor[:4].clone()
    save_file(tensors, path, metadata=metadata)
    refused(tiny_clip, path)


def test_a_file_with_an_impossible_dropout_is_refused_by_its_path(adapted_clip, tiny_clip, tmp_path):
    path = tmp_path / "adapter.safetensors"
    imo.save_adapters(adapted_clip, path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, metadata={"imo-adapter-1": metadata["imo-adapter-1"].replace("0.1", "1.5")})
    refused(tiny_clip, path)


def test_adapters_are_attached_once(adapted_clip):
    with pytest.raises(imo.InputError, match="already"):
        imo.attach_adapters(adapted_clip)


def test_a_resnet_takes_no_adapters():
    model = vision_model(ModifiedResNet((1, 1, 1, 1), 16, 2, input_resolution=32, width=8))
    assert adapters_of(model) == []
    with pytest.raises(imo.InputError, match="ModifiedResNet"):
        imo.attach_adapters(model)


class MaskedBlock(ResidualAttentionBlock):
    """Takes its mask with each call, as the blocks of open_clip and of some descendants of CoOp do."""

    def attention(self, x, attn_mask=None):
        return self.attn(x, x, x, need_weights=False, attn_mask=attn_mask)[0]

    def forward(self, x, attn_mask=None):
        x = x + self.attention(self.ln_1(x), attn_mask)
        return x + self.mlp(self.ln_2(x))


@pytest.mark.parametrize("enabled", [True, False])
def test_options_of_a_block_come_by_name_or_by_place(tiny_clip, enabled):
    blocks = tiny_clip.visual.transformer.resblocks
    for block in blocks:
        block.__class__ = MaskedBlock
    x, mask = torch.rand(5, 2, 64), torch.full((5, 5), -torch.inf).triu(1)
    plain = blocks[0](x, mask)
    imo.attach_adapters(tiny_clip)
    adapters_of(tiny_clip)[0].enabled = enabled
    assert torch.equal(blocks[0](x, mask), plain) and torch.equal(blocks[0](x, attn_mask=mask), plain)
    assert not torch.equal(blocks[0](x), plain)


@pytest.mark.parametrize("options", [{"bottleneck": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_impossible_adapters_are_refused(tiny_clip, options):
    with pytest.raises(imo.InputError, match=next(iter(options))):
        imo.attach_adapters(tiny_clip, **options)
    assert not adapters_of(tiny_clip)


def test_without_adapters_there_is_nothing_to_save_or_switch_on(tiny_clip, images, tmp_path):
    with pytest.raises(imo.InputError, match="no adapters"):
        imo.save_adapters(tiny_clip, tmp_path / "adapter.safetensors")
    with pytest.raises(imo.InputError, match="no adapters"):
        imo.encode_images(tiny_clip, images, corrected=True)
