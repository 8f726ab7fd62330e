from pathlib import Path

import numpy as np
import pytest
from building import Small, config, write_small
from PIL import Image

import imo
from imo.datasets.base import Item
from imo.datasets.base.corruptions import CORRUPTIONS, corrupted_copy


def corrupted(root, corruption):
    """{image name: pixels} of the corrupted test set."""
    data = Small(config(root, CORRUPTION=corruption))
    assert [item.label for item in data.test] == [0, 1, 2, 3]
    return {Path(data.originals[i.impath]).name: np.asarray(Image.open(i.impath), int) for i in data.test}


def originals(root):
    return {path.name: np.asarray(Image.open(path), int) for path in sorted((root / "small/images/test").iterdir())}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_a_function_of_path_and_severity(small, tmp_path_factory, name):
    other = tmp_path_factory.mktemp("other")
    write_small(other, {"train": [("train/0.png", label) for label in range(4)], "test": [("x.png", 0)]})
    pictures = {}
    for severity in (1, 3, 5):
        pictures[severity] = corrupted(small, f"{name}-{severity}")
        test = [Item(str(p), 0, "a") for p in sorted((small / "small/images/test").iterdir())]
        copies = corrupted_copy(test[::-1], str(small / "small/images"), str(other), f"{name}-{severity}")
        for item, copy in zip(test[::-1], copies, strict=True):
            again = np.asarray(Image.open(copy.impath), int)
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
    item = Item(str(tmp_path / "grey.png"), 0, "a")
    for severity, expected in ((1, 0.08), (2, 0.12), (3, 0.18)):
        (noisy,) = corrupted_copy([item], str(tmp_path), str(tmp_path), f"gaussian_noise-{severity}")
        assert np.asarray(Image.open(noisy.impath)).std() / 255 == pytest.approx(expected, rel=0.03)


def test_two_images_alike_are_corrupted_apart(tmp_path):
    items = []
    for name in ("a", "b"):
        Image.new("RGB", (32, 32), (128, 128, 128)).save(tmp_path / f"{name}.png")
        items.append(Item(str(tmp_path / f"{name}.png"), 0, "a"))
    one, two = corrupted_copy(items, str(tmp_path), str(tmp_path), "gaussian_noise-1")
    assert Path(one.impath).read_bytes() != Path(two.impath).read_bytes()


def test_nothing_is_written_among_the_images_and_an_image_that_changes_is_corrupted_anew(small):
    before = {path for path in (small / "small").rglob("*") if "split_fewshot" not in path.parts}
    one, two = (corrupted(small, "inverse-5")["0.png"] for _ in range(2))
    assert {path for path in (small / "small").rglob("*") if "split_fewshot" not in path.parts} == before
    assert len(list((small / "features/corrupted/inverse-5").iterdir())) == 4
    np.testing.assert_array_equal(one, two)
    Image.new("RGB", (32, 32), (255, 255, 255)).save(small / "small/images/test/0.png")
    assert corrupted(small, "inverse-5")["0.png"].max() == 0


def test_only_the_test_set_is_corrupted_and_the_target_says_so(small):
    data = Small(config(small, CORRUPTION="inverse-2"))
    assert data.target_name == "Small-inverse-2"
    assert {Path(item.impath).parts[-2] for item in (*data.train_x, *data.val)} == {"train", "val"}
    assert all("corrupted/inverse-2" in Path(item.impath).as_posix() for item in data.test)


@pytest.mark.parametrize("corruption", ["inverse", "inverse-0", "inverse-6", "-3", "Inverse-3", "inverse-3-3"])
def test_an_unknown_corruption_is_refused(small, corruption):
    with pytest.raises(imo.InputError, match=r"DATASET\.CORRUPTION.*gaussian_noise"):
        Small(config(small, CORRUPTION=corruption))


def test_other_classes_of_a_corrupted_set_are_made_too(small):
    for which, classnames in (("base", ["class0", "class1"]), ("new", ["class2", "class3"])):
        data = Small(config(small, CORRUPTION="inverse-1", SUBSAMPLE_CLASSES=which))
        assert [item.classname for item in data.test] == classnames


def test_wide_images_can_be_occluded(tmp_path):
    Image.new("RGB", (100, 30)).save(tmp_path / "wide.png")
    item = Item(str(tmp_path / "wide.png"), 0, "a")
    (copy,) = corrupted_copy([item], str(tmp_path), str(tmp_path), "occlusion-5")
    assert Image.open(copy.impath).size == (100, 30)


def test_images_that_differ_in_suffix_alone_keep_their_own_copies(tmp_path):
    items = []
    for name, value in (("a.bmp", 0), ("a.png", 255)):
        Image.new("RGB", (32, 32), (value,) * 3).save(tmp_path / name)
        items.append(Item(str(tmp_path / name), 0, "a"))
    copies = corrupted_copy(items, str(tmp_path), str(tmp_path), "inverse-5")
    assert [np.asarray(Image.open(copy.impath)).mean() for copy in copies] == [255, 0]


def test_copies_of_turned_images_are_others(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 30)).save(tmp_path / "x.jpg", exif=exif)
    item = Item(str(tmp_path / "x.jpg"), 0, "x")
    for upright, size in ((False, (60, 30)), (True, (30, 60)), (False, (60, 30))):
        (copy,) = corrupted_copy([item], str(tmp_path), str(tmp_path), "inverse-1", upright)
        assert Image.open(copy.impath).size == size
