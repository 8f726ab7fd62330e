import warnings

import numpy as np
import pytest
import torch
from clip import tokenize

import imo


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


@pytest.mark.parametrize("batch_size", [1, 4, 256])
@pytest.mark.parametrize("names, templates", [(3, 3), (1, 2), (5, 1)])
def test_the_classifier_is_the_normalised_mean_over_templates(tiny_clip, batch_size, names, templates):
    classnames = ["cat", "red panda", "Boeing 747", "oak", "digit zero"][:names]
    templates = ["a photo of a {}.", "{}", "art of the {}, upside down"][:templates]
    classifier = imo.text_classifier(tiny_clip, classnames, templates, batch_size)
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
        ([], ["a {}."], "class names"),
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
