import warnings

import numpy as np
import pytest
import torch
from clip import tokenize

import imo
from imo.model.adapter import adapters_of
from imo.model.assets import shipped_adapter
from imo.model.encode import forward_images, in_blocks, prompts_of


@torch.no_grad()
def naive_classifier(model, classnames, templates):
    rows = []
    for name in classnames:
        total = np.zeros(32)
        for template in templates:
            feature = model.encode_text(tokenize(template.replace("{}", name)))[0].double().numpy()
            total += feature / np.linalg.norm(feature)
        rows.append(total / np.linalg.norm(total))
    return np.array(rows)


@torch.no_grad()
def test_image_features_are_the_visual_tower_s_not_normalised(tiny_clip, images):
    expected = tiny_clip.visual(images)
    features = imo.encode_images(tiny_clip, images.double())
    assert features.dtype == torch.float32
    assert torch.equal(features, expected)
    assert (features.norm(dim=1) - 1).abs().min() > 0.1


def test_images_do_not_depend_on_the_rest_of_the_batch(adapted_clip, images):
    alone = torch.cat([imo.encode_images(adapted_clip, image[None], corrected=True) for image in images])
    torch.testing.assert_close(imo.encode_images(adapted_clip, images, corrected=True), alone)


def test_encoding_keeps_no_graph(adapted_clip, images):
    assert not imo.encode_images(adapted_clip, images, corrected=True).requires_grad
    assert not imo.text_classifier(adapted_clip, ["cat"], "a {}.").requires_grad


def test_backbones_of_half_precision_are_corrected(images):
    """As on a GPU: layer norms in float32, the rest, with the adapters, in 16 bits."""
    features = {}
    for dtype in (torch.float32, torch.bfloat16):
        model, _ = imo.load_clip("glyph", dtype=dtype)
        imo.load_adapters(model, shipped_adapter("glyph"))
        assert {p.dtype for adapter in adapters_of(model) for p in adapter.parameters()} == {dtype}
        features[dtype] = imo.encode_images(model, images, corrected=True)
        assert not torch.equal(features[dtype], imo.encode_images(model, images))
    exact, rounded = features.values()
    assert 0 < (rounded - exact).norm() / exact.norm() < 0.05


def test_autocast_changes_rounding_alone(adapted_clip, images):
    exact = imo.encode_images(adapted_clip, images, corrected=True)
    assert torch.equal(forward_images(adapted_clip, images, corrected=True), exact)
    rounded = forward_images(adapted_clip, images, corrected=True, autocast=torch.bfloat16)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize("rows, sizes", [(1, [3, 3, 2]), (4, [6, 2]), (6, [6, 2]), (7, [8]), (100, [8])])
def test_blocks_hold_all_rows_in_order(rows, sizes):
    whole = torch.arange(8.0)[:, None]
    batches = ({"clip": part, "adapter": -part.double()} for part in whole.split(3))
    blocks = list(in_blocks(batches, rows=rows))
    assert [len(block["clip"]) for block in blocks] == sizes
    assert torch.equal(torch.cat([block["clip"] for block in blocks]), whole)
    assert torch.equal(torch.cat([block["adapter"] for block in blocks]), -whole)


def test_a_block_ends_when_its_time_is_over(monkeypatch):
    clock = iter(range(0, 1000, 10))  # looked at once a batch, and when a block begins
    monkeypatch.setattr("imo.model.encode.time.monotonic", lambda: next(clock))
    batches = ({"clip": torch.zeros(1, 2)} for _ in range(5))
    assert [len(block["clip"]) for block in in_blocks(batches, seconds=20)] == [2, 2, 1]


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 1, 24, 24), (2, 24, 24, 3), (24, 24)])
def test_images_of_another_shape_are_refused(tiny_clip, shape):
    with pytest.raises(imo.InputError, match="images"):
        imo.encode_images(tiny_clip, torch.zeros(shape))


@pytest.mark.parametrize(
    "bad",
    [torch.zeros(0, 3, 24, 24), torch.zeros(1, 3, 32, 32), torch.full((1, 3, 24, 24), torch.nan), [[0.0]]],
    ids=["empty", "another size", "NaN", "list"],
)
def test_images_that_cannot_be_encoded_are_refused(tiny_clip, bad):
    with pytest.raises(imo.InputError, match="images"):
        imo.encode_images(tiny_clip, bad)


@pytest.mark.parametrize("names, templates", [(3, 3), (1, 2), (5, 1)])
def test_the_classifier_is_the_normalised_mean_over_templates(tiny_clip, names, templates):
    classnames = ["cat", "red panda", "Boeing 747", "oak", "digit zero"][:names]
    templates = ["a photo of a {}.", "{}", "art of the {}, upside down"][:templates]
    classifier = imo.text_classifier(tiny_clip, classnames, templates)
    assert classifier.dtype == torch.float32
    np.testing.assert_allclose(classifier.numpy(), naive_classifier(tiny_clip, classnames, templates), atol=1e-5)


def test_templates_count_alike_however_long_their_features_are(tiny_clip):
    """A mean of features that are not normalised first would differ."""
    with torch.no_grad():
        tiny_clip.positional_embedding[2] *= 100  # prompts of one token become long vectors
        tiny_clip.ln_final = torch.nn.Identity()
    templates = ["{}", "a photo of a {}."]
    classifier = imo.text_classifier(tiny_clip, ["cat"], templates)
    np.testing.assert_allclose(classifier.numpy(), naive_classifier(tiny_clip, ["cat"], templates), atol=1e-5)


def test_one_template_may_come_as_text(tiny_clip):
    assert torch.equal(
        imo.text_classifier(tiny_clip, ["cat", "dog"], "a {}."),
        imo.text_classifier(tiny_clip, ["cat", "dog"], ["a {}."]),
    )


def test_underscores_in_names_are_spaces(tiny_clip):
    assert torch.equal(
        imo.text_classifier(tiny_clip, ["red_panda"], "a {}."), imo.text_classifier(tiny_clip, ["red panda"], "a {}.")
    )


def test_words_without_meaning_to_the_backbone_are_warned_of(tiny_clip):
    tiny_clip.known_tokens = {t for t in tokenize("a photo of cat.")[0].tolist() if t}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imo.text_classifier(tiny_clip, ["cat"], "a photo of a {}.")
    with pytest.warns(UserWarning, match="unicorn"):
        imo.text_classifier(tiny_clip, ["cat", "unicorn"], "a photo of a {}.")


@pytest.mark.parametrize(
    "classnames, templates, named",
    [
        ([], ["a {}."], "classnames"),
        (["cat"], [], "templates"),
        (["cat"], ["a photo."], "templates"),
        (["cat"], ["a {}.", "a photo."], "templates"),
        (["cat"], "", "templates"),
        pytest.param(["cat"], "{} or {}", "templates"),
        pytest.param(
            ["cat " * 90],
            "a {}.",
            "cat cat",
        ),
    ],
)
def test_prompts_that_cannot_be_formed_are_refused(tiny_clip, classnames, templates, named):
    with pytest.raises(imo.InputError, match=named):
        imo.text_classifier(tiny_clip, classnames, templates)


def test_an_interrupted_block_is_given_before_the_interrupt():
    def batches():
        yield {"clip": torch.ones(2, 3)}
        yield {"clip": torch.zeros(1, 3)}
        raise KeyboardInterrupt

    blocks = in_blocks(batches())
    assert torch.equal(next(blocks)["clip"], torch.tensor([[1.0] * 3] * 2 + [[0.0] * 3]))
    with pytest.raises(KeyboardInterrupt):
        next(blocks)


@pytest.mark.parametrize("template", ["{name}", "{} {x}", "{", "}", "{:>9}", "{0}", "{}{}", "", "a"])
def test_a_template_has_one_place_for_the_name_and_no_other_braces(template):
    with pytest.raises(imo.InputError, match=r"^templates: expected one '\{\}'"):
        prompts_of(["cat"], [template])


def test_a_name_may_hold_anything():
    assert prompts_of(["{0}_{"], ["a {}.", "{}"]) == ["a {0} {.", "{0} {"]
