"""Every public function refuses arguments that cannot be meant, by name."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

import imo
from imo.model.adapter import adapters_of

ROWS, SIZE, CLASSES, KEYS = 5, 6, 3, 4
NOT_TENSORS = {"list": [[1.0] * SIZE] * KEYS, "array": np.ones((KEYS, SIZE), np.float32), "str": "cat", "None": None}


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def probabilities(rows):
    return torch.softmax(draw(rows, CLASSES), 1)


def matrix(rows, columns, *, square=False):
    """Values that are no (rows, columns) features; where `square` is false, rows of another size are refused too."""
    good = torch.rand(rows, columns)
    holed = [good.index_fill(1, torch.tensor([0]), value) for value in (math.nan, math.inf, -math.inf)]
    wrong = dict(zip(("NaN", "inf", "-inf"), holed))
    wrong |= {"int": good.long(), "bool": good > 0.5, "uint8": good.byte(), "complex": good.cfloat()}
    wrong |= {"empty": good[:0], "no columns": good[:, :0], "row": good[0], "3-D": good[None], "number": good[0, 0]}
    return NOT_TENSORS | wrong | ({} if square else {"wide": torch.rand(rows, columns + 1)})


def whole(rows, most):
    """Values that are no int64 labels (rows,) in 0..most-1."""
    good = torch.arange(rows) % most
    wrong = {
        "float": good.float(),
        "bool": good > 0,
        "int32": good.int(),
        "negative": good - 1,
        "too large": good + most,
    }
    wrong |= {"short": good[:-1], "empty": good[:0], "2-D": good[None], "NaN": good * math.nan}
    return wrong | {"list": good.tolist(), "array": good.numpy(), "str": "cat", "generator": (0 for _ in good)}


NO_NUMBERS = {"str": "1", "list": [1], "NaN": math.nan, "inf": math.inf, "bool": True, "tensor": torch.ones(1)}
NO_COUNTS = NO_NUMBERS | {"zero": 0, "negative": -1, "fraction": 1.5}
NO_VALUES = {"empty": (), "falling": (1.0, 0.0), "equal": (1.0, 1.0), "NaN": (0.0, math.nan), "inf": (0.0, math.inf)}
NO_VALUES |= {"str": "123", "texts": ["a"], "generator": (i for i in range(3)), "None": None, "number": 1.0}
NO_VALUES |= {"2-D": ((0.0, 1.0),), "dict": {"a": 1}}
NO_TEXTS = {"number": 3, "None": None, "empty": [], "numbers": [1, 2], "bytes": [b"cat"], "set": {"a {}", "b {}"}}
NO_TEXTS |= {"empty generator": (name for name in ()), "nested": [["cat"]], "bytes alone": b"cat"}
NO_MODEL = {"None": None, "name": "glyph", "another module": nn.Linear(2, 2), "weights": {}}
NO_CACHE = {"None": None, "keys": torch.ones(KEYS, SIZE), "class": imo.CacheModel}
NO_IMAGES = {"uint8": torch.zeros(2, 3, 24, 24, dtype=torch.uint8), "bool": torch.zeros(2, 3, 24, 24) > 0}
NO_IMAGES |= {"int": torch.zeros(2, 3, 24, 24).long(), "array": np.zeros((2, 3, 24, 24), np.float32), "list": [[0.0]]}
NO_IMAGES |= {
    "empty": torch.zeros(0, 3, 24, 24),
    "one": torch.zeros(3, 24, 24),
    "channels last": torch.zeros(2, 24, 24, 3),
}
NO_IMAGES |= {"NaN": torch.full((2, 3, 24, 24), math.nan), "inf": torch.full((2, 3, 24, 24), math.inf), "None": None}
NO_PROBABILITIES = {"logits": draw(ROWS, CLASSES), "twice": 2 * torch.full((ROWS, CLASSES), 1 / CLASSES)}

cache = imo.CacheModel(draw(KEYS, SIZE), torch.tensor([0, 1, 1, 2]), CLASSES)
own_keys = torch.arange(ROWS) % KEYS
good_keys = {"keys": draw(KEYS, SIZE), "labels": cache.labels, "num_classes": CLASSES, "weights": torch.ones(KEYS)}
good_search = {"zero_shot": draw(ROWS, CLASSES), "cache": cache, "queries": draw(ROWS, SIZE), "own_keys": own_keys}
good_search |= {"targets": torch.arange(ROWS) % CLASSES, "kl_scores": draw(ROWS, CLASSES), "chunk": 2}
good_search |= {"grid": imo.Grid((0.0, 1.0), (0.0, 1.0), (0.0, 1.0)), "continuous": True}
good_probs = {"query_probs": probabilities(ROWS), "key_probs": probabilities(KEYS)}
good_kl = {"cache": cache, **good_probs, "own_keys": own_keys}
phi = imo.Phi(0.0, 1.0, 0.2, 0.8)
pairs = {
    "query_probs": matrix(ROWS, CLASSES) | NO_PROBABILITIES,
    "key_probs": matrix(KEYS, CLASSES) | {"logits": draw(KEYS, CLASSES)},
}
of_cache = {**pairs, "cache": NO_CACHE, "own_keys": whole(ROWS, KEYS)}
of_cache["key_probs"] = of_cache["key_probs"] | {"more": probabilities(KEYS + 1)}

# Function -> good arguments, and for some of these the values that it must refuse.
TABLE = {
    "CacheModel": (
        imo.CacheModel,
        good_keys,
        {
            "keys": matrix(KEYS, SIZE, square=True),
            "labels": whole(KEYS, CLASSES),
            "num_classes": NO_COUNTS | {"None": None},
            "weights": {"short": torch.ones(3), "NaN": torch.full((KEYS,), math.nan), "list": [1.0] * KEYS}
            | {"array": np.ones(KEYS, np.float32), "int": torch.ones(KEYS).long(), "double": torch.ones(KEYS).double()},
        },
    ),
    "affinity": (cache.affinity, {"queries": draw(ROWS, SIZE)}, {"queries": matrix(ROWS, SIZE)}),
    "class_scores": (
        cache.class_scores,
        {"affinity": draw(ROWS, KEYS), "beta": 1.0, "own_keys": own_keys},
        {
            "affinity": matrix(ROWS, KEYS),
            "beta": NO_NUMBERS | {"negative": -1.0, "None": None},
            "own_keys": whole(ROWS, KEYS),
        },
    ),
    "sum_by_class": (cache.sum_by_class, {"values": draw(ROWS, KEYS)}, {"values": matrix(ROWS, KEYS)}),
    "Grid": (
        imo.Grid,
        {"alphas": (0.0, 1.0), "betas": (0.0,), "gammas": (0.0, 2.0)},
        dict.fromkeys(("alphas", "betas", "gammas"), NO_VALUES),
    ),
    "search": (
        imo.search,
        good_search,
        {
            "zero_shot": matrix(ROWS, CLASSES)
            | {"short": draw(ROWS - 1, CLASSES), "double": draw(ROWS, CLASSES).double()},
            "cache": NO_CACHE,
            "queries": matrix(ROWS, SIZE) | {"double": draw(ROWS, SIZE).double()},
            "targets": whole(ROWS, CLASSES),
            "grid": {"None": None, "tuple": ((0.0, 1.0), (0.0,)), "one alpha": imo.Grid((1.0,), (1.0,))},
            "kl_scores": {name: value for name, value in matrix(ROWS, CLASSES).items() if value is not None}
            | {"short": draw(ROWS - 1, CLASSES)},
            "own_keys": whole(ROWS, KEYS),
            "continuous": {"str": "grid", "None": None},
            "chunk": NO_COUNTS | {"None": None},
        },
    ),
    "class_probabilities": (
        imo.class_probabilities,
        {"features": draw(ROWS, SIZE), "classifier": draw(CLASSES, SIZE)},
        {"features": matrix(ROWS, SIZE), "classifier": matrix(CLASSES, SIZE, square=True)},
    ),
    "kl_divergence": (imo.kl_divergence, good_probs, pairs),
    "kl_scores": (imo.kl_scores, {**good_kl, "phi": phi}, {**of_cache, "phi": {"None": None, "range": (0.0, 1.0)}}),
    "Phi.fit": (
        imo.Phi.fit,
        {**good_kl, "queries": draw(ROWS, SIZE), "chunk": 2},
        {**of_cache, "queries": matrix(ROWS, SIZE) | {"short": draw(ROWS - 1, SIZE)}, "chunk": NO_COUNTS},
    ),
    "Phi": (
        imo.Phi,
        {"kl_low": 0.0, "kl_high": 1.0, "low": 0.2, "high": 0.8},
        {
            "kl_low": NO_NUMBERS,
            "kl_high": NO_NUMBERS | {"below kl_low": -1.0},
            "low": NO_NUMBERS,
            "high": NO_NUMBERS | {"below low": 0.1},
        },
    ),
    "phi": (phi, {"kl": draw(2)}, {"kl": NOT_TENSORS | {"int": torch.arange(3)}}),
    "overlap": (
        imo.overlap,
        {"features": draw(ROWS, SIZE), "labels": torch.tensor([0, 0, 1, 1, 2]), "seed": 0, "most": 4},
        {
            "features": matrix(ROWS, SIZE, square=True),
            "labels": {name: value for name, value in whole(ROWS, CLASSES).items() if name != "too large"}
            | {"one class": torch.zeros(ROWS).long(), "no pairs": torch.arange(ROWS)},
            "seed": NO_NUMBERS | {"fraction": 0.5, "None": None},
            "most": NO_COUNTS,
        },
    ),
}


def cases(table):
    return [
        pytest.param(function, good, name, value, id=f"{title}-{name}-{kind}")
        for title, (function, good, bad) in table.items()
        for name, values in bad.items()
        for kind, value in values.items()
    ]


def refuses(function, arguments, name, value):
    with pytest.raises(imo.InputError, match=rf"\b{re.escape(name)}\b") as caught:
        function(**{**arguments, name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("title", TABLE)
def test_good_arguments_are_taken(title):
    function, good, _ = TABLE[title]
    function(**good)


@pytest.mark.parametrize("function, good, name, value", cases(TABLE))
def test_an_argument_of_tensors_or_numbers_is_refused_by_name(function, good, name, value):
    refuses(function, good, name, value)


@pytest.mark.parametrize("title", [title for title in TABLE if title not in ("Grid", "Phi", "phi")])
def test_tensors_that_require_gradients_give_what_others_give(title):
    function, good, _ = TABLE[title]
    tracked = {
        name: value.clone().requires_grad_() if torch.is_tensor(value) and value.is_floating_point() else value
        for name, value in good.items()
    }
    expected, found = function(**good), function(**tracked)
    if title == "CacheModel":
        expected, found = expected.keys, found.keys
    if torch.is_tensor(found):
        assert torch.equal(found, expected)
    elif title == "search":
        assert (found.correct == expected.correct).all() and found.accuracy == expected.accuracy
    else:
        assert found == expected


def test_a_search_takes_a_cache_of_trained_keys():
    trained = imo.CacheModel(nn.Parameter(draw(KEYS, SIZE)), cache.labels, CLASSES)
    found = imo.search(**{**good_search, "cache": trained})
    assert found.accuracy == imo.search(**good_search).accuracy


def test_a_search_refuses_negative_betas():
    with pytest.raises(imo.InputError, match="beta"):
        imo.search(**{**good_search, "grid": imo.Grid((0.0, 1.0), (-1.0, 1.0))})


def test_a_grid_takes_any_sequence_of_numbers():
    values = [0.0, 0.5, 2.0]
    for sequence in (values, tuple(values), np.array(values), torch.tensor(values), range(3)):
        assert imo.Grid(sequence, sequence).alphas == tuple(float(value) for value in sequence)


def with_models(tiny_clip, adapted_clip, folder):
    imo.save_adapters(adapted_clip, folder / "good.safetensors")
    texts = {"model": tiny_clip, "classnames": ["cat", "dog"], "templates": ["a {}."]}
    no_path = {"None": None, "number": 3, "bytes": b"a"}
    no_digest = {"None": None, "number": 3}
    return {
        "encode_images": (
            imo.encode_images,
            {"model": adapted_clip, "images": torch.zeros(2, 3, 24, 24), "corrected": True},
            {"model": NO_MODEL, "images": NO_IMAGES, "corrected": {"str": "none", "None": None, "number": 1}},
        ),
        "text_classifier": (
            imo.text_classifier,
            texts,
            {
                "model": NO_MODEL,
                "classnames": NO_TEXTS
                | {"str": "cat", "array": np.arange(2), "equal": ["red_panda", "red panda"]}
                | {
                    "same": ["cat", "cat"],
                    "case": ["Cat", "cat"],
                    "spaces": ["a  cat", "a_cat"],
                    "0-d": np.array("cat"),
                },
                "templates": NO_TEXTS | {"no slot": ["a cat"], "two slots": "{} {}", "empty text": ""},
            },
        ),
        "load_clip": (
            imo.load_clip,
            {"name": "glyph", "device": "cpu", "dtype": torch.float32},
            {
                "name": no_path,
                "device": {"unknown": "nonsense", "None": None, "number": 3}
                | ({} if torch.cuda.is_available() else {"no GPU": "cuda", "no GPU 1": torch.device("cuda:1")}),
                "dtype": {"int": torch.int64, "str": "float16", "bool": torch.bool},
            },
        ),
        "attach_adapters": (
            imo.attach_adapters,
            {"model": tiny_clip, "bottleneck": 8, "scale": 0.1, "dropout": 0.1},
            {
                "model": NO_MODEL,
                "bottleneck": NO_COUNTS | {"None": None},
                "scale": NO_NUMBERS | {"None": None},
                "dropout": NO_NUMBERS | {"None": None, "one": 1.0, "negative": -0.1},
            },
        ),
        "save_adapters": (
            imo.save_adapters,
            {"model": adapted_clip, "path": folder / "a.safetensors", "backbone_sha256": ""},
            {"model": NO_MODEL, "path": no_path, "backbone_sha256": no_digest},
        ),
        "load_adapters": (
            imo.load_adapters,
            {"model": imo.load_clip("glyph")[0], "path": folder / "good.safetensors", "backbone_sha256": ""},
            {"model": NO_MODEL, "path": no_path, "backbone_sha256": no_digest},
        ),
    }


@pytest.mark.parametrize(
    "title", ["encode_images", "text_classifier", "load_clip", "attach_adapters", "save_adapters", "load_adapters"]
)
def test_an_argument_of_a_function_on_models_is_refused_by_name(tiny_clip, adapted_clip, tmp_path, title):
    function, good, bad = with_models(tiny_clip, adapted_clip, tmp_path)[title]
    for name, values in bad.items():
        for value in values.values():
            refuses(function, good, name, value)
    if title != "load_adapters":  # those are of another model
        function(**good)


def test_names_and_templates_may_be_any_iterable_of_texts(tiny_clip):
    names, templates = ["red panda", "oak"], ["a {}.", "{}"]
    expected = imo.text_classifier(tiny_clip, names, templates)
    for kind in (tuple, np.array, iter, lambda texts: (text for text in texts), dict.fromkeys):
        assert torch.equal(imo.text_classifier(tiny_clip, kind(names), kind(templates)), expected)


def test_equal_prompts_are_told_with_both_names(tiny_clip):
    with pytest.raises(imo.InputError, match="'red_panda' and 'red panda'"):
        imo.text_classifier(tiny_clip, ["red_panda", "oak", "red panda"], "a {}.")


def test_braces_in_names_are_texts(tiny_clip):
    imo.text_classifier(tiny_clip, ["{cat}", "{0}"], "a {}.")


def test_public_names_are_all_looked_at(tiny_clip, adapted_clip, tmp_path):
    functions = {name for name in imo.__all__ if callable(getattr(imo, name))}
    outcomes = {"InputError", "OverlapReport", "SearchResult"}
    assert functions - outcomes <= {*TABLE, *with_models(tiny_clip, adapted_clip, tmp_path)}


@pytest.mark.parametrize("ending", ["pt", "pth"])
def test_adapters_are_not_written_under_the_ending_of_another_format(adapted_clip, tmp_path, ending):
    with pytest.raises(imo.InputError, match=rf"a\.{ending}.*safetensors"):
        imo.save_adapters(adapted_clip, tmp_path / f"a.{ending}")
    assert not any(tmp_path.iterdir())


def test_adapters_that_hold_nan_are_not_written(adapted_clip, tmp_path):
    with torch.no_grad():
        adapters_of(adapted_clip)[0].up.bias[0] = math.nan
    with pytest.raises(imo.InputError, match=r"a\.safetensors.*NaN"):
        imo.save_adapters(adapted_clip, tmp_path / "a.safetensors")
    assert not any(tmp_path.iterdir())
