"""Trainers on backbones of other kinds, and on adapters in the form of the authors' code."""

import json
import sys

import pytest
import torch
from clip.model import CLIP
from PIL import Image
from safetensors.torch import save_file

import imo
from imo.model.adapter import adapters_of
from imo.workbench.cli import call

WITHOUT_ADAPTERS = ("ZeroshotCLIP", "TipAdapter", "TipX")
WITH_ADAPTERS = ("TipAdapterPP", "TipXPP", "IMOAdapter")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    path = tmp_path_factory.mktemp("resnet") / "resnet.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(CLIP(32, 32, (1, 1, 1, 1), 16, None, 77, 49408, 64, 1, 1).state_dict(), path)
    return ("MODEL.BACKBONE.NAME", path, "INPUT.SIZE", "(32, 32)")


@pytest.mark.parametrize("trainer", WITHOUT_ADAPTERS)
def test_a_resnet_serves_trainers_without_adapters(bench, resnet, trainer):
    done = bench.main(trainer, *resnet)
    assert done.status == 0, done.err
    assert done.results["correction"] == "none"


@pytest.mark.parametrize("trainer", WITH_ADAPTERS)
@pytest.mark.parametrize("adapter", ["", "given"])
def test_a_resnet_takes_no_adapters(bench, resnet, trainer, adapter):
    adapter = adapter and bench.assets.adapter
    done = bench.main(trainer, *resnet, "IMO.ADAPTER", adapter)
    done.assert_refused("ModifiedResNet", "ViT", "without correction")


def test_the_authors_checkpoint_gives_what_its_conversion_gives(bench):
    model, _ = imo.load_clip(str(bench.assets.backbone))
    imo.load_adapters(model, bench.assets.adapter)
    state = {
        "image_encoder."
        + name.replace("adapter.down", "adaptmlp.down_proj").replace("adapter.up", "adaptmlp.up_proj"): w
        for name, w in model.visual.state_dict().items()
    }
    theirs, ours = bench.folder / "model_epoch_0.pt", bench.folder / "adapter.safetensors"
    torch.save(state, theirs)
    (bench.folder / "configs.txt").write_text(str({"adapter_config": {"ffn_num": 8, "ffn_adapter_scalar": "0.5"}}))
    assert call("adapter", ["convert", str(theirs), str(ours)]) == 0
    bench.store = bench.folder / "store"
    first = bench.main("TipXPP", "IMO.ADAPTER", theirs, output=bench.folder / "theirs")
    second = bench.main("TipXPP", "IMO.ADAPTER", ours, output=bench.folder / "ours")
    assert first.status == 0, first.err
    assert (sum(first.results["images_encoded"].values()) > 0) and not any(second.results["images_encoded"].values())
    for key in ("accuracy", "hyper_parameters", "adapter_sha256"):
        assert first.results[key] == second.results[key]
    (bench.folder / "configs.txt").unlink()
    bench.main("TipXPP", "IMO.ADAPTER", theirs, output=bench.folder / "3").assert_refused("configs.txt", "--scale")


@pytest.fixture(scope="module")
def open_clip_file(tmp_path_factory):
    """Random weights of a tiny architecture that open_clip is told of: (its name here, the model)."""
    open_clip = pytest.importorskip("open_clip", reason="the extra open_clip is not installed")
    folder = tmp_path_factory.mktemp("open_clip")
    vision = {"image_size": 24, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8, "ls_init_value": 0.5}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    (folder / "tiny-ls.json").write_text(json.dumps({"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.create_model("tiny-ls").eval()
    save_file(model.state_dict(), folder / "weights.safetensors")
    return f"open_clip:tiny-ls/{folder / 'weights.safetensors'}", model


@torch.no_grad()
def test_a_model_of_open_clip_encodes_as_itself(open_clip_file, images):
    import open_clip

    name, expected = open_clip_file
    model, preprocess = imo.load_clip(name)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    torch.testing.assert_close(imo.encode_images(model, images), expected.encode_image(images))
    prompts = ["a photo of a cat.", "a photo of a dog."]
    text = expected.encode_text(open_clip.get_tokenizer("tiny-ls")(prompts))
    rows = imo.text_classifier(model, ["cat", "dog"], "a photo of a {}.")
    torch.testing.assert_close(rows, torch.nn.functional.normalize(text, dim=-1))
    assert preprocess(Image.new("L", (50, 31))).shape == (3, 24, 24)


@torch.no_grad()
def test_adapters_in_a_model_of_open_clip(open_clip_file, images, tmp_path):
    name, plain = open_clip_file
    model, _ = imo.load_clip(name)
    imo.attach_adapters(model, bottleneck=8, scale=0.5)
    torch.testing.assert_close(imo.encode_images(model, images, corrected=True), plain.encode_image(images))
    for adapter in adapters_of(model):
        torch.nn.init.normal_(adapter.up.weight)
        torch.nn.init.normal_(adapter.up.bias)

    # The formula, with what the tower does before and after its blocks recorded by hooks.
    seen = {}
    blocks = plain.visual.transformer.resblocks
    hooks = [
        blocks[0].register_forward_pre_hook(lambda _, args: seen.update(start=args[0])),
        plain.visual.ln_post.register_forward_pre_hook(lambda _, args: seen.update(end=args[0])),
    ]
    plain.encode_image(images)
    for hook in hooks:
        hook.remove()
    assert seen["start"].shape[0] == len(images), "batch first"
    x = seen["start"]
    for block, adapter in zip(blocks, adapters_of(model)):
        y = block.ln_1(x)
        x = x + block.ls_1(block.attn(y, y, y, need_weights=False)[0])
        hidden = (x @ adapter.down.weight.T + adapter.down.bias).clamp(min=0)
        x = x + block.ls_2(block.mlp(block.ln_2(x))) + 0.5 * (hidden @ adapter.up.weight.T + adapter.up.bias)
    expected = plain.visual.ln_post(x)[:, 0] @ plain.visual.proj
    corrected = imo.encode_images(model, images, corrected=True)
    torch.testing.assert_close(corrected, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(imo.encode_images(model, images), plain.encode_image(images))

    imo.save_adapters(model, tmp_path / "adapter.safetensors")
    again, _ = imo.load_clip(name)
    imo.load_adapters(again, tmp_path / "adapter.safetensors")
    assert torch.equal(imo.encode_images(again, images, corrected=True), corrected)


def test_adapters_are_trained_and_used_in_a_model_of_open_clip(bench, open_clip_file):
    name, _ = open_clip_file
    bench.store = bench.folder / "store"
    trained = bench.main("IMOAdapter", "MODEL.BACKBONE.NAME", name)
    assert trained.status == 0, trained.err
    adapter = trained.folder / "adapter.safetensors"
    used = bench.main("TipXPP", "MODEL.BACKBONE.NAME", name, "IMO.ADAPTER", adapter)
    assert used.status == 0, used.err
    assert used.results["backbone_sha256"] == trained.results["backbone_sha256"]


@pytest.mark.parametrize(
    ("weights", "words"),
    [("nonesuch", ["nonesuch", "no tag"]), ("no/file.pt", ["no/file.pt"]), ("{adapter}", ["adapter.safetensors"])],
)
def test_weights_that_open_clip_cannot_use(bench, open_clip_file, weights, words):
    name = f"open_clip:tiny-ls/{weights.format(adapter=bench.assets.adapter)}"
    bench.main("ZeroshotCLIP", "MODEL.BACKBONE.NAME", name).assert_refused("tiny-ls", *words)


def test_an_unknown_architecture_of_open_clip(bench, open_clip_file):
    done = bench.main("ZeroshotCLIP", "MODEL.BACKBONE.NAME", "open_clip:ViT-Z/laion")
    done.assert_refused("ViT-Z", "list_models")


def test_without_the_extra_it_is_named(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    bench.main("ZeroshotCLIP", "MODEL.BACKBONE.NAME", "open_clip:ViT-B-16/laion2b_s34b_b88k").assert_refused(
        "pip install", "open_clip"
    )
