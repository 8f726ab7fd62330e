import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dassl.config import get_cfg_default
from dassl.data.datasets import DatasetBase, Datum
from PIL import Image

import imo
from imo import datasets
from imo.datasets.base.split_dataset import SplitDataset
from imo.datasets.base.subsets import few_shot, subsample_classes
from imo.datasets.making.corruptions import CORRUPTIONS, corrupted_copy
from imo.datasets.making.handwriting import SHARES, stratified_split


class Small(SplitDataset):
    dataset_dir = "small"
    split_file = "split.json"


def cfg_of(root, **options):
    cfg = get_cfg_default()
    datasets.extend_cfg(cfg)
    cfg.SEED = options.pop("SEED", 1)
    cfg.DATASET.NAME, cfg.DATASET.ROOT = "Small", str(root)
    for name, value in options.items():
        cfg.DATASET[name] = value
    return cfg


def write_small(root, split):
    """Images for a split of {part: [(name, label), ...]}; classes are called class<label>."""
    rng = np.random.default_rng(0)
    full = {}
    for part in ("train", "val", "test"):
        full[part] = [[name, label, f"class{label}"] for name, label in split.get(part, [])]
        for name, _, _ in full[part]:
            path = root / "small" / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    (root / "small" / "split.json").write_text(json.dumps(full))


LABELS = [2, 0, 2, 1, 0, 2, 1, 2, 0, 0, 3, 3, 3, 2, 2]  # six images of class 2, two of class 1


@pytest.fixture
def small(tmp_path):
    """A data root with 15 training, 15 validation and 4 test images of four classes."""
    split = {part: [(f"{part}/{i}.png", label) for i, label in enumerate(LABELS)] for part in ("train", "val")}
    write_small(tmp_path, {**split, "test": [(f"test/{label}.png", label) for label in range(4)]})
    return tmp_path


def names(items):
    return [Path(item.impath).name for item in items]


@pytest.fixture
def items(tmp_path):
    path = tmp_path / "any.png"
    path.touch()
    return [Datum(impath=str(path), label=label, classname=f"class{label}") for label in LABELS]


@pytest.mark.parametrize("shots", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_few_shots_are_dassl_s(items, shots, seed):
    """The global generator, seeded; then a sample of each class, classes in order of appearance."""
    chosen = few_shot(items, shots, random.Random(seed))
    random.seed(seed)
    expected = []
    for label in (2, 0, 1, 3):
        members = [item for item in items if item.label == label]
        expected += random.sample(members, shots) if len(members) >= shots else members
    assert [id(item) for item in chosen] == [id(item) for item in expected]
    random.seed(seed)
    dassl = DatasetBase(train_x=items).generate_fewshot_dataset(items, num_shots=shots)
    assert [id(item) for item in chosen] == [id(item) for item in dassl]


def test_few_shots_leave_the_global_generator_alone(items):
    random.seed(5)
    state = random.getstate()
    few_shot(items, 2, random.Random(5))
    assert random.getstate() == state


def test_classes_with_too_few_images_are_named(items, capsys):
    few_shot(items, 3, random.Random(0))
    assert "class1 (2)" in capsys.readouterr().out
    few_shot(items, 3, random.Random(0), quiet=True)
    assert capsys.readouterr().out == ""


def test_a_dataset_draws_its_shots_from_the_seed(small):
    by_seed = {seed: names(Small(cfg_of(small, NUM_SHOTS=2, SEED=seed)).train_x) for seed in (1, 2)}
    random.seed(1)
    members = {label: [f"{i}.png" for i, other in enumerate(LABELS) if other == label] for label in (2, 0, 1, 3)}
    assert by_seed[1] == [name for group in members.values() for name in random.sample(group, 2)]
    assert by_seed[1] != by_seed[2]


def test_validation_is_full_or_few(small):
    full, few = (Small(cfg_of(small, NUM_SHOTS=16, VALIDATION=option)) for option in ("full", "few"))
    assert len(full.val) == 15
    assert Counter(item.label for item in few.val) == {0: 4, 1: 2, 2: 4, 3: 3}
    assert (full.tuned_on, few.tuned_on) == ("val (full)", "val (few)")
    assert names(full.train_x) == names(few.train_x)
    few = Small(cfg_of(small, NUM_SHOTS=1, VALIDATION="few"))
    assert Counter(item.label for item in few.val) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert len(few.test) == 4


@pytest.mark.parametrize("shots", [0, -1])
def test_without_shots_all_images_are_taken(small, shots):
    data = Small(cfg_of(small, NUM_SHOTS=shots))
    assert names(data.train_x) == [f"{i}.png" for i in range(15)]
    assert (data.num_classes, data.classnames) == (4, ["class0", "class1", "class2", "class3"])


@pytest.mark.parametrize("labels, base, new", [([0, 1, 2, 3], [0, 1], [2, 3]), ([4, 2, 0, 1, 3], [0, 1, 2], [3, 4])])
def test_base_and_new_classes_are_the_halves(items, labels, base, new):
    path = items[0].impath
    part = [Datum(impath=path, label=label, classname=f"class{label}") for label in labels]
    for which, kept in (("base", base), ("new", new)):
        for chosen in subsample_classes(part, part, part, which):
            expected = [(kept.index(label), f"class{label}") for label in labels if label in kept]
            assert [(item.label, item.classname) for item in chosen] == expected
    assert subsample_classes(part, part[:1], part[:2], "all") == (part, part[:1], part[:2])


def test_a_dataset_of_new_classes_counts_from_0(small):
    data = Small(cfg_of(small, NUM_SHOTS=1, SUBSAMPLE_CLASSES="new"))
    assert data.classnames == ["class2", "class3"]
    assert [(item.label, item.classname) for item in data.test] == [(0, "class2"), (1, "class3")]


@pytest.mark.parametrize(
    "option, value", [("SUBSAMPLE_CLASSES", "old"), ("VALIDATION", "some"), ("CORRUPTION", "rain-3")]
)
def test_an_unknown_option_is_answered_with_the_known_ones(small, option, value):
    with pytest.raises(imo.InputError, match=rf"DATASET\.{option}: expected .*'{value}'"):
        Small(cfg_of(small, **{option: value}))


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(imo.InputError, match="nowhere"):
        Small(cfg_of(tmp_path / "nowhere"))


GOOD = ["train/0.png", 0, "class0"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"train": []}',
        json.dumps({"train": [GOOD[:2]], "val": [], "test": [GOOD]}),
        json.dumps({"train": [["train/0.png", "zero", "class0"]], "val": [], "test": [GOOD]}),
        json.dumps({"train": [], "val": [], "test": []}),
        json.dumps({"train": [GOOD], "val": [], "test": []}),
        json.dumps({"train": [["train/0.png", 1, "class1"]], "val": [], "test": [["train/0.png", 1, "class1"]]}),
        json.dumps({"train": [GOOD], "val": [], "test": [["train/0.png", 1, "class1"]]}),
        json.dumps({"train": [GOOD], "val": [["train/0.png", -1, "class0"]], "test": [GOOD]}),
    ],
    ids=[
        "no JSON", "a list", "parts lacking", "no class name", "label no number", "nothing", "no test", "label gap",
        "class without training", "negative label",
    ],
)  # fmt: skip
def test_a_broken_split_is_named(small, content):
    path = small / "small" / "split.json"
    path.write_text(content)
    with pytest.raises(imo.InputError, match=r"split\.json"):
        Small(cfg_of(small))


def test_missing_files_are_named(small):
    for number in (3, 5):
        (small / "small" / "images" / "train" / f"{number}.png").unlink()
    with pytest.raises(imo.InputError, match=r"train/3\.png.* and 1 more"):
        Small(cfg_of(small))
    (small / "small" / "split.json").unlink()
    with pytest.raises(imo.InputError, match=r"split\.json"):
        Small(cfg_of(small))


@pytest.mark.parametrize("counts", [(10, 20, 100), (7, 1, 3), (178, 182, 177)])
def test_a_stratified_split_has_its_shares_in_every_class(counts):
    labels = np.random.default_rng(3).permutation(np.repeat(np.arange(3), counts))
    parts = stratified_split(labels)
    for label, count in enumerate(counts):
        found = Counter(parts[labels == label].tolist())
        assert sum(found.values()) == count
        for part, share in SHARES.items():
            assert abs(found[part] - share * count) <= 1
    assert parts.tolist() == stratified_split(labels).tolist()


def test_a_stratified_split_is_shuffled():
    parts = stratified_split(np.zeros(100, int)).tolist()
    assert parts != sorted(parts)
    assert len(set(parts[:50])) == 3


@pytest.fixture(scope="module")
def digits_root(tmp_path_factory):
    """A data root with Digits and ColoredDigits."""
    pytest.importorskip("sklearn")
    from imo.datasets.colored_digits import ColoredDigits
    from imo.datasets.digits import Digits

    root = tmp_path_factory.mktemp("data")
    for dataset in (Digits, ColoredDigits):
        dataset(cfg_of(root))
    return root


def split_of(root, dataset):
    return json.loads((root / dataset / "split.json").read_text())


def test_digits_are_written_once_each_in_one_part(digits_root):
    from sklearn.datasets import load_digits

    source = load_digits()
    split = split_of(digits_root, "digits")
    entries = [entry for part in split.values() for entry in part]
    assert sorted(int(Path(name).stem) for name, _, _ in entries) == list(range(1797))
    english = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    for name, label, classname in entries:
        assert label == source.target[int(Path(name).stem)]
        assert classname == f"digit {english[label]}"
    for name, _, _ in split["train"][::100]:
        pixels = np.asarray(Image.open(digits_root / "digits" / "images" / name))
        np.testing.assert_allclose(pixels, source.images[int(Path(name).stem)] * 255 / 16, atol=0.5)


def test_colored_digits_keep_the_split_of_digits(digits_root):
    assert split_of(digits_root, "colored_digits") == split_of(digits_root, "digits")


def test_colours_vary_and_show_the_same_digit(digits_root):
    papers = set()
    for name, _, _ in split_of(digits_root, "digits")["test"][::90]:
        grey = np.asarray(Image.open(digits_root / "digits" / "images" / name), np.float64) / 255
        coloured = np.asarray(Image.open(digits_root / "colored_digits" / "images" / name), np.float64)
        papers.add(tuple(coloured[grey == 0][0]))
        ink, paper = coloured[grey == 1][0], coloured[grey == 0][0]
        np.testing.assert_allclose(coloured, grey[..., None] * ink + (1 - grey[..., None]) * paper, atol=2)
        assert np.linalg.norm(ink - paper) > 125
    assert len(papers) > 5


def test_a_made_dataset_is_not_made_again(digits_root, monkeypatch):
    from imo.datasets.digits import Digits

    monkeypatch.setattr(Digits, "load", None)
    assert len(Digits(cfg_of(digits_root, NUM_SHOTS=1)).train_x) == 10


def test_a_half_made_dataset_leaves_nothing(tmp_path, monkeypatch):
    from imo.datasets import _made
    from imo.datasets.digits import Digits

    def fail(array, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Digits, "load", lambda self: (np.zeros((9, 8, 8)), np.zeros(9, int)))
    monkeypatch.setattr(_made, "save_png", fail)
    with pytest.raises(OSError, match="No space"):
        Digits(cfg_of(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_whose_package_is_missing_names_the_remedy(tmp_path, monkeypatch):
    from imo.datasets.digits import Digits

    def load(self):
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    monkeypatch.setattr(Digits, "load", load)
    with pytest.raises(imo.InputError, match=r"sklearn.*pip install -e '\.\[demo\]'"):
        Digits(cfg_of(tmp_path))


def corrupted(root, corruption):
    """{image name: pixels} of the corrupted test set."""
    test = Small(cfg_of(root, CORRUPTION=corruption)).test
    assert [item.label for item in test] == [0, 1, 2, 3]
    return {name: np.asarray(Image.open(item.impath), int) for name, item in zip(names(test), test)}


def originals(root):
    return {path.name: np.asarray(Image.open(path), int) for path in sorted((root / "small/images/test").iterdir())}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_a_function_of_path_and_severity(small, tmp_path_factory, name):
    other = tmp_path_factory.mktemp("other")
    write_small(other, {"train": [("train/0.png", label) for label in range(4)], "test": [("x.png", 0)]})
    pictures = {}
    for severity in (1, 3, 5):
        pictures[severity] = corrupted(small, f"{name}-{severity}")
        test = [Datum(impath=str(p), label=0, classname="a") for p in sorted((small / "small/images/test").iterdir())]
        for item in corrupted_copy(test[::-1], str(small / "small/images"), str(other), f"{name}-{severity}"):
            again = np.asarray(Image.open(item.impath), int)
            np.testing.assert_array_equal(again, pictures[severity][Path(item.impath).name])
    for image, pixels in originals(small).items():
        versions = [pixels, *(pictures[severity][image] for severity in (1, 3, 5))]
        assert {v.shape for v in versions} == {(32, 32, 3)}
        assert len({v.tobytes() for v in versions}) == 4


@pytest.mark.parametrize("name", ["gaussian_noise", "gaussian_blur", "inverse", "occlusion", "colour"])
def test_a_severer_corruption_is_further_from_the_original(small, name):
    before = originals(small)
    distances = [
        np.mean([np.abs(pixels - before[image]).mean() for image, pixels in corrupted(small, f"{name}-{s}").items()])
        for s in (1, 5)
    ]
    assert 0 < distances[0] < distances[1]


def test_severity_5_inverts_all(small):
    for image, pixels in corrupted(small, "inverse-5").items():
        np.testing.assert_array_equal(pixels, 255 - originals(small)[image])


def test_gaussian_noise_has_the_standard_deviation_of_imagenet_c(tmp_path):
    Image.new("RGB", (96, 96), (128, 128, 128)).save(tmp_path / "grey.png")
    item = Datum(impath=str(tmp_path / "grey.png"), label=0, classname="a")
    for severity, expected in ((1, 0.08), (2, 0.12), (3, 0.18)):
        (noisy,) = corrupted_copy([item], str(tmp_path), str(tmp_path), f"gaussian_noise-{severity}")
        assert np.asarray(Image.open(noisy.impath)).std() / 255 == pytest.approx(expected, rel=0.03)


def test_two_images_alike_are_corrupted_apart(tmp_path):
    items = []
    for name in ("a", "b"):
        Image.new("RGB", (32, 32), (128, 128, 128)).save(tmp_path / f"{name}.png")
        items.append(Datum(impath=str(tmp_path / f"{name}.png"), label=0, classname="a"))
    one, two = corrupted_copy(items, str(tmp_path), str(tmp_path), "gaussian_noise-1")
    assert Path(one.impath).read_bytes() != Path(two.impath).read_bytes()


def test_only_the_test_set_is_corrupted_and_the_target_says_so(small):
    data = Small(cfg_of(small, CORRUPTION="inverse-2"))
    assert data.target_name == "Small-inverse-2"
    assert {Path(item.impath).parts[-2] for item in (*data.train_x, *data.val)} == {"train", "val"}
    assert all("corrupted/inverse-2" in Path(item.impath).as_posix() for item in data.test)


@pytest.mark.parametrize("corruption", ["inverse", "inverse-0", "inverse-6", "-3", "Inverse-3", "inverse-3-3"])
def test_an_unknown_corruption_is_refused(small, corruption):
    with pytest.raises(imo.InputError, match=r"DATASET\.CORRUPTION.*gaussian_noise"):
        Small(cfg_of(small, CORRUPTION=corruption))


def test_other_classes_of_a_corrupted_set_are_made_too(small):
    for which, classnames in (("base", ["class0", "class1"]), ("new", ["class2", "class3"])):
        data = Small(cfg_of(small, CORRUPTION="inverse-1", SUBSAMPLE_CLASSES=which))
        assert [item.classname for item in data.test] == classnames


def test_wide_images_can_be_occluded(tmp_path):
    Image.new("RGB", (100, 30)).save(tmp_path / "wide.png")
    item = Datum(impath=str(tmp_path / "wide.png"), label=0, classname="a")
    (copy,) = corrupted_copy([item], str(tmp_path), str(tmp_path), "occlusion-5")
    assert Image.open(copy.impath).size == (100, 30)


def test_images_that_differ_in_suffix_alone_keep_their_own_copies(tmp_path):
    items = []
    for name, value in (("a.bmp", 0), ("a.png", 255)):
        Image.new("RGB", (32, 32), (value,) * 3).save(tmp_path / name)
        items.append(Datum(impath=str(tmp_path / name), label=0, classname="a"))
    copies = corrupted_copy(items, str(tmp_path), str(tmp_path), "inverse-5")
    assert [np.asarray(Image.open(copy.impath)).mean() for copy in copies] == [255, 0]
