from collections import Counter

import torch

from imo.datasets.making import glyph_pictures


def draw(bank, count=64, seed=0, **options):
    indices = torch.arange(count) * len(bank.masks) // count
    return indices, glyph_pictures.draw_pictures(bank, indices, torch.Generator().manual_seed(seed), **options)


def test_pictures_are_in_range_and_carry_their_classes(bank):
    indices, pictures = draw(bank)
    assert pictures.images.shape == (64, 3, 24, 24)
    assert pictures.images.dtype == torch.float32
    assert 0 <= pictures.images.min() < pictures.images.max() <= 1
    assert torch.equal(pictures.labels, bank.labels[indices])
    assert all(bank.classnames[label] in text for label, text in zip(pictures.labels.tolist(), pictures.captions))


def test_the_generator_decides_the_pictures_alone(bank):
    torch.manual_seed(0)
    _, first = draw(bank, seed=3)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    _, again = draw(bank, seed=3)
    _, other = draw(bank, seed=4)
    assert torch.equal(first.images, again.images)
    assert first.captions == again.captions
    assert not torch.equal(first.images, other.images)
    assert first.captions != other.captions
    torch.manual_seed(0)
    assert torch.equal(state, torch.get_rng_state())


def test_captions_without_attribute_words_name_the_class_alone(bank):
    _, pictures = draw(bank, count=500, attribute_words=0)
    templates = (*glyph_pictures.NEUTRAL_TEMPLATES, glyph_pictures.PEN_TEMPLATE, glyph_pictures.PRINT_TEMPLATE)
    for label, caption in zip(pictures.labels.tolist(), pictures.captions):
        assert caption in {template.format(bank.classnames[label]) for template in templates}


def test_without_attribute_words_no_caption_tells_the_style(bank):
    """Of pen drawings, about 200 are called handwritten and 200 printed."""
    pen = torch.tensor([i for i, family in enumerate(bank.families) if family == "pen"])[:1600]
    captions = glyph_pictures.draw_pictures(bank, pen, torch.Generator().manual_seed(0), attribute_words=0).captions
    styles = Counter(word for caption in captions for word in ("handwritten", "printed") if word in caption.split())
    assert sum(styles.values()) > 200
    assert 0.35 < styles["printed"] / sum(styles.values()) < 0.65


def test_captions_with_all_attribute_words_name_two_colours_and_the_font(bank):
    indices, pictures = draw(bank, count=100, attribute_words=1.0)
    for index, label, caption in zip(indices.tolist(), pictures.labels.tolist(), pictures.captions):
        before, after = caption.rstrip(".").split(bank.classnames[label])
        ink = before.split()[-1]
        paper = after.split(" on ")[1].split()[0]
        assert {ink, paper} <= set(glyph_pictures.COLOURS)
        assert ink != paper
        assert f"in {bank.families[index]}" in after
        assert ("printed" if bank.families[index] == "pen" else "handwritten") not in before
