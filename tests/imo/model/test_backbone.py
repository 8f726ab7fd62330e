import pickle

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import imo
from imo.model import assets
from imo.model.backbone import locate, named_file, unknown_words
from imo.model.openai_clip import clip_module

TOKENS = torch.tensor([[49406, 320, 1125, 49407]])


def write_state(model, path):
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif path.stem == "nested":
        torch.save({"state_dict": state, "epoch": 3}, path)
    elif path.stem == "archive":
        torch.jit.save(torch.jit.trace(model, (torch.zeros(1, 3, 24, 24), TOKENS)), path)
    else:
        torch.save(state, path)


@pytest.mark.filterwarnings("ignore")  # of TorchScript
@pytest.mark.parametrize("name", ["plain.pt", "nested.pt", "archive.pt", "plain.safetensors"])
@torch.no_grad()
def test_weights_come_back_unrounded_from_every_form(tiny_clip, images, tmp_path, name):
    write_state(tiny_clip, tmp_path / name)
    model, _ = imo.load_clip(str(tmp_path / name))
    assert model.known_tokens is None
    assert torch.equal(model.logit_scale, tiny_clip.logit_scale)
    torch.testing.assert_close(model.encode_image(images), tiny_clip.encode_image(images), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        model.encode_text(torch.nn.functional.pad(TOKENS, (0, 73))),
        tiny_clip.encode_text(torch.nn.functional.pad(TOKENS, (0, 73))),
    )


def test_a_loaded_model_is_frozen_and_evaluates(tiny_clip, tmp_path):
    write_state(tiny_clip, tmp_path / "clip.pt")
    model, preprocess = imo.load_clip(str(tmp_path / "clip.pt"))
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert preprocess(Image.new("L", (50, 31))).shape == (3, 24, 24)


@pytest.mark.parametrize(
    "dtype",
    [pytest.param(d) for d in (torch.float16, torch.bfloat16)],
)
def test_a_model_in_half_precision_encodes(tiny_clip, images, tmp_path, dtype):
    write_state(tiny_clip, tmp_path / "clip.pt")
    model, _ = imo.load_clip(str(tmp_path / "clip.pt"), dtype=dtype)
    assert model.visual.conv1.weight.dtype == dtype
    half, full = imo.encode_images(model, images), imo.encode_images(tiny_clip, images)
    assert torch.cosine_similarity(half, full).min() > 0.99


def test_preprocessing_is_clip_s(tiny_clip, tmp_path):
    write_state(tiny_clip, tmp_path / "clip.pt")
    _, preprocess = imo.load_clip(str(tmp_path / "clip.pt"))
    image = Image.new("RGB", (24, 24), (255, 0, 51))
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    expected = torch.tensor([(v - m) / s for v, m, s in zip((1.0, 0.0, 0.2), mean, std)])
    torch.testing.assert_close(preprocess(image)[:, 7, 9], expected)


@torch.no_grad()
def test_a_shortened_vocabulary_is_expanded_and_remembered(tiny_clip, tmp_path):
    state = {key: value.contiguous() for key, value in tiny_clip.state_dict().items()}
    tokens = torch.tensor([320, 2368, 49406, 49407])  # a, cat, start, end
    state["token_embedding.rows"] = state.pop("token_embedding.weight")[tokens].contiguous()
    state["token_embedding.tokens"] = tokens
    save_file(state, tmp_path / "short.safetensors")
    model, _ = imo.load_clip(str(tmp_path / "short.safetensors"))

    table = model.token_embedding.weight
    assert table.shape == (49408, 64)
    assert torch.equal(table[tokens], tiny_clip.token_embedding.weight[tokens])
    assert not table[[0, 321, 49405]].any()
    assert model.known_tokens == {320, 2368, 49406, 49407}
    assert unknown_words(model, ["a cat", "A  CAT_dog, a zebra!"]) == ["!", ",", "dog", "zebra"]
    assert unknown_words(tiny_clip, ["a zebra"]) == []


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(imo.InputError, match=r"ViT-Z.*glyph.*RN50.*ViT-B/16"):
        imo.load_clip("ViT-Z")


@pytest.mark.parametrize("name", ["missing.pt", "missing.safetensors"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(imo.InputError, match=name):
        imo.load_clip(str(tmp_path / name))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tiny_clip, tmp_path, suffix, share):
    path = tmp_path / f"clip{suffix}"
    write_state(tiny_clip, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(imo.InputError, match=path.name):
        imo.load_clip(str(path))


def test_a_pickle_with_more_than_tensors_is_refused_and_not_run(malicious_file):
    path, fuse = malicious_file
    with pytest.raises(imo.InputError, match=path.name):
        imo.load_clip(str(path))
    assert not fuse.exists()
    with path.open("wb") as file:
        pickle.dump({"visual.proj": fuse}, file, protocol=2)
    with pytest.raises(imo.InputError, match=path.name):
        imo.load_clip(str(path))


@pytest.mark.parametrize(
    "content",
    [
        {"visual.proj": torch.zeros(4, 4)},
        {"head.weight": torch.zeros(4, 4)},
        {},
        torch.zeros(3),
        [torch.zeros(3)],
    ],
    ids=["half a CLIP", "another model", "nothing", "a tensor", "a list"],
)
def test_weights_of_something_else_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(imo.InputError, match=r"other\.pt"):
        imo.load_clip(str(tmp_path / "other.pt"))


def test_a_state_dict_without_its_text_tower_is_refused(tiny_clip, tmp_path):
    state = {key: value for key, value in tiny_clip.state_dict().items() if "visual" in key}
    torch.save(state, tmp_path / "half.pt")
    with pytest.raises(imo.InputError, match=r"half\.pt"):
        imo.load_clip(str(tmp_path / "half.pt"))


def test_a_changed_clip_is_named(tiny_clip, tmp_path, monkeypatch):
    """Where none is installed, the one on the path may build its CLIP with prompts of its own, from more than a state
    dict."""
    write_state(tiny_clip, tmp_path / "clip.pt")
    monkeypatch.setattr(clip_module("model"), "build_model", lambda state_dict, design_details: None)
    with pytest.raises(imo.InputError, match=r"model\.py.*design_details.*clip-anytorch"):
        imo.load_clip(str(tmp_path / "clip.pt"))


def test_the_file_in_a_name(tmp_path):
    (tmp_path / "weights.pt").touch()
    for name in (f"{tmp_path}/weights.pt", f"open_clip:ViT-B-16/{tmp_path}/weights.pt"):
        assert named_file(name) == tmp_path / "weights.pt"
    for name in ("glyph", "ViT-B/16", "open_clip:ViT-B-16/laion2b_s34b_b88k", str(tmp_path)):
        assert named_file(name) is None


def test_shipped_weights_with_another_checksum_are_refused(monkeypatch):
    file_name, _ = assets._BACKBONES["glyph"]
    monkeypatch.setitem(assets._BACKBONES, "glyph", (file_name, "0" * 64))
    with pytest.raises(imo.InputError, match=file_name):
        imo.load_clip("glyph")
    monkeypatch.setitem(assets._ADAPTERS, "glyph", (file_name, "0" * 64))
    with pytest.raises(imo.InputError, match=file_name):
        assets.shipped_adapter("glyph")


@pytest.mark.parametrize("error", [OSError("no network"), RuntimeError("checksum does not match")])
def test_a_failed_download_tells_the_remedy(monkeypatch, error):
    def fail(url, root):
        raise error

    monkeypatch.setattr(clip_module("clip"), "_download", fail)
    with pytest.raises(imo.InputError, match=rf"ViT-B/16.*{error}.*MODEL.BACKBONE.NAME"):
        locate("ViT-B/16")


def test_openai_s_weights_are_downloaded_under_their_name(monkeypatch, tmp_path):
    asked = []

    def download(url, root):
        asked.append(url)
        return str(tmp_path / "ViT-B-16.pt")

    monkeypatch.setattr(clip_module("clip"), "_download", download)
    assert locate("ViT-B/16") == tmp_path / "ViT-B-16.pt"
    assert [url.rpartition("/")[2] for url in asked] == ["ViT-B-16.pt"]
