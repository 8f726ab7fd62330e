"""Features have the same bits whatever was encoded beside or before them, by whatever number of threads."""

import pytest
import torch

import imo
from imo.measure import similarity
from imo.measure.overlap import overlap
from imo.pieces import ENCODED, in_pieces

ROWS = 100


@pytest.fixture(scope="module")
def glyph():
    """`glyph` has real widths, in which a product of few rows takes another way than one of many."""
    model, _ = imo.load_clip("glyph")
    side = model.visual.input_resolution
    return model, torch.randn(ROWS, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_a_function_sees_whole_pieces_alone_and_rows_keep_their_order():
    seen = []

    def double(rows):
        seen.append(len(rows))
        return 2 * rows

    for count in (1, 3, 4, 7, 8):
        rows = torch.arange(2.0 * count).view(count, 2)
        assert torch.equal(in_pieces(double, rows, 4), 2 * rows)
    assert set(seen) == {4}


def test_rows_are_differentiable():
    rows = torch.ones(5, 2, requires_grad=True)
    in_pieces(lambda part: part.square(), rows, 4).sum().backward()
    assert torch.equal(rows.grad, torch.full((5, 2), 2.0))


@pytest.mark.parametrize("threads", [*range(1, 17), 20, 24, 32, 48, 64, 128])
def test_image_features_do_not_depend_on_the_number_of_threads(glyph, threads):
    model, images = glyph
    whole = imo.encode_images(model, images[:33])
    torch.set_num_threads(threads)
    assert torch.equal(imo.encode_images(model, images[:33]), whole)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 7, 32, 100])
def test_image_features_do_not_depend_on_batch_order_or_threads(glyph, threads, size):
    model, images = glyph
    images = images[:20] if size < 32 else images  # small batches take many times as long
    whole = imo.encode_images(model, images)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(size))
    torch.set_num_threads(threads)
    parts = torch.cat([imo.encode_images(model, part) for part in images[order].split(size)])
    assert torch.equal(parts, whole[order])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_text_features_do_not_depend_on_the_other_texts(glyph, threads):
    model, names = glyph[0], [f"digit {number}" for number in range(ENCODED + 3)]
    whole = imo.text_classifier(model, names, ["a photo of a {}.", "{}"])
    torch.set_num_threads(threads)
    assert torch.equal(imo.text_classifier(model, names[::-1], ["a photo of a {}.", "{}"]), whole.flip(0))
    for place in (0, 7, len(names) - 1):
        assert torch.equal(imo.text_classifier(model, [names[place]], ["a photo of a {}.", "{}"])[0], whole[place])


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_overlap_has_the_same_digits_in_chunks_of_any_size(monkeypatch, exact, threads):
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(403, 512, generator=generator), torch.randint(5, (403,), generator=generator)
    monkeypatch.setattr(similarity, "_EXACT", 403**2 if exact else 0)
    whole = overlap(features, labels)
    torch.set_num_threads(threads)
    for rows in (7, 200):
        monkeypatch.setattr(similarity, "_CHUNK", rows * 403)
        assert overlap(features, labels) == whole
