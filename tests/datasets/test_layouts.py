"""Every dataset, in miniature, through the real command line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from building import ROOT, build, dataset_class, refused, rows
from layouts import FALLBACKS, KINDS, TEST_ONLY, WITH_SPLIT, class_folders, picture, split_layout, write
from PIL import Image

from imo.images import open_image


def entries(dataset):
    return {
        part: [(item.impath, item.label, item.classname) for item in items]
        for part, items in (("train", dataset.train_x), ("val", dataset.val), ("test", dataset.test))
    }


@pytest.mark.parametrize("yaml", FALLBACKS)
def test_a_dataset_is_read_from_its_own_files(yaml, layouts_root):
    _, names, counts, _ = FALLBACKS[yaml]
    dataset = build(yaml, layouts_root)
    assert dataset.classnames == names
    assert (len(dataset.train_x), len(dataset.val), len(dataset.test)) == counts
    parts = entries(dataset)
    for part in (parts["train"], parts["test"]):
        assert {label for _, label, _ in part} == set(range(len(names)))
    assert all(name == names[label] for part in parts.values() for _, label, name in part)
    assert not {e[0] for e in parts["train"]} & {e[0] for e in parts["val"]}
    if yaml not in TEST_ONLY:
        assert not {e[0] for e in parts["train"]} & {e[0] for e in parts["test"]}
    assert entries(build(yaml, layouts_root, SEED=9)) == parts  # a run's seed does not move the split
    if dataset.split_file:
        assert not (Path(dataset.dataset_dir) / dataset.split_file).exists()


@pytest.mark.parametrize("yaml", FALLBACKS)
def test_labels_follow_the_images(yaml, layouts_root):
    """Each image's class can be told from its path or annotation independently of the reader."""
    words = {
        "caltech101": {"Faces": "face", "Leopards": "leopard"},
        "oxford_pets": {"Abyssinian": "abyssinian", "great_pyrenees": "great_pyrenees"},
        "sun397": {"abbey": "abbey", "indoor": "indoor apse", "control_tower": "outdoor control_tower"},
        "eurosat": {"AnnualCrop": "Annual Crop Land", "Forest": "Forest", "SeaLake": "Sea or Lake"},
        "ucf101": {"v_TaiChi": "Tai_Chi", "v_YoYo": "Yo_Yo"},
        "imagenet": {"n01443537": "goldfish", "n01518878": "ostrich"},
        "imagenetv2": {"val/1/": "goldfish", "val/3/": "ostrich"},
        "imagenet_a": {"n01443537": "goldfish", "n01518878": "ostrich"},
        "imagenet_r": {"n01484850": "great white shark", "n01518878": "ostrich"},
        "folder": {"a cat": "a cat", "zebra": "zebra_fish"},
        "stanford_cars": {"cars_train/00002": "2012 Acura RL Sedan", "cars_test/00003": "2000 AM General Hummer SUV"},
        "oxford_flowers": {"image_00001": "hard-leaved pocket orchid", "image_00011": "pink primrose"},
        "fgvc_aircraft": {"4000001": "Cessna 172", "3000002": "707-320"},
        "openimages": {"0000000000000001": "Magpie", "0000000000000003": "Cat, big", "0000000000000005": "Tortoise"},
        "dtd": {"banded": "banded"},
        "food101": {"waffles": "waffles"},
        "imagenet_sketch": {"n01440764": "tench"},
    }[yaml]
    dataset = build(yaml, layouts_root)
    items = [*dataset.train_x, *dataset.val, *dataset.test]
    for word, name in words.items():
        found = {item.classname for item in items if word in item.impath[len(str(layouts_root)) :]}
        assert found == {name}, word


@pytest.mark.parametrize("yaml", FALLBACKS)
def test_zero_shot_on_the_command_line(yaml, layouts_root, command):
    _, _, counts, prompt = FALLBACKS[yaml]
    run = command("ZeroshotCLIP", yaml, layouts_root, shots=0)
    assert run.status == 0, run.err
    assert run.results["n_test"] == counts[2]
    assert 0 <= run.results["accuracy"] <= 100
    assert f"Prompts: [{prompt!r}" in run.log
    if dataset_class(yaml).split_file:
        assert "is missing: split computed from the dataset's own files" in run.log


@pytest.mark.parametrize("yaml", WITH_SPLIT)
def test_zero_shot_with_the_split_file(yaml, tmp_path, command):
    split_layout(tmp_path, dataset_class(yaml))
    run = command("ZeroshotCLIP", yaml, tmp_path, shots=0)
    assert run.status == 0, run.err
    assert run.results["n_test"] == 6
    assert "Reading split from" in run.log


@pytest.mark.parametrize(
    "yaml, tuned_on", [("dtd", "val (full)"), ("imagenet", "held-out train"), ("folder", "val (full)")]
)
def test_tip_adapter_on_the_command_line(yaml, tuned_on, layouts_root, tmp_path, command):
    shutil.copytree(layouts_root, tmp_path / "data")
    run = command("TipAdapter", yaml, tmp_path / "data")
    assert run.status == 0, run.err
    assert run.results["tuned_on"] == tuned_on
    assert set(run.results["hyper_parameters"]) == {"alpha", "beta"}


@pytest.mark.parametrize("yaml", TEST_ONLY)
def test_a_set_for_testing_only_builds_no_cache(yaml, layouts_root, command):
    run = command("TipAdapter", yaml, layouts_root)
    assert run.status == 2
    assert "no training images" in run.err and "--eval-only" in run.err and len(run.err.splitlines()) == 1
    assert run.results is None


@pytest.mark.parametrize(
    "yaml, before, after",
    [
        ("caltech101", "caltech-101/101_ObjectCategories", "caltech-101/caltech-101/101_ObjectCategories"),
        ("stanford_cars", "stanford_cars/cars_train", "stanford_cars/cars_train/cars_train"),
        ("imagenet_sketch", "imagenet-sketch/images", "imagenet-sketch/sketch"),
        ("eurosat", "eurosat/2750", "eurosat/EuroSAT_RGB"),
        ("eurosat", "eurosat/2750", "eurosat/EuroSAT/2750"),
        ("eurosat", "eurosat/2750", "eurosat/EuroSAT_RGB/EuroSAT_RGB"),
        ("food101", "food-101/images", "food-101/food-101/images"),
        ("food101", "food-101/images", "food-101/images/images"),
        ("dtd", "dtd/images", "dtd/dtd/images"),
        ("stanford_cars", "stanford_cars/devkit", "stanford_cars/car_devkit/devkit"),
        ("oxford_flowers", "oxford_flowers", "flowers-102"),
        ("caltech101", "caltech-101", "caltech101"),
        ("oxford_pets", "oxford_pets", "oxford-iiit-pet"),
        ("fgvc_aircraft", "fgvc_aircraft", "fgvc-aircraft-2013b"),
    ],
)
def test_a_mirror_s_spelling_is_accepted(yaml, before, after, tmp_path):
    FALLBACKS[yaml][0](tmp_path)
    usual = entries(build(yaml, tmp_path))
    (tmp_path / before).rename(tmp_path / "aside")
    (tmp_path / after).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / "aside").rename(tmp_path / after)
    mirrored = entries(build(yaml, tmp_path))
    assert mirrored == {
        part: [(path.replace(f"/{before}/", f"/{after}/"), *more) for path, *more in items]
        for part, items in usual.items()
    }


def moved(folder, target):
    """Everything in a folder, put into another, in it or not."""
    children = sorted(folder.iterdir())
    target.mkdir(parents=True, exist_ok=True)
    for child in children:
        child.rename(target / child.name)


@pytest.mark.parametrize("yaml", [yaml for yaml in FALLBACKS if yaml not in ("folder", *TEST_ONLY)])
def test_an_archive_may_lie_in_a_folder_of_its_own(yaml, tmp_path):
    FALLBACKS[yaml][0](tmp_path)
    usual = entries(build(yaml, tmp_path, NUM_SHOTS=-1))
    folder = tmp_path / dataset_class(yaml).dataset_dir
    shutil.rmtree(folder / "split_fewshot", ignore_errors=True)
    moved(folder, folder / "archive")
    inside = {
        part: [(path.replace(f"{folder}/", f"{folder}/archive/"), *more) for path, *more in items]
        for part, items in usual.items()
    }
    assert entries(build(yaml, tmp_path, NUM_SHOTS=-1)) == inside


@pytest.mark.parametrize("yaml", ["dtd", "stanford_cars"])
def test_the_split_file_may_lie_there_too(yaml, tmp_path):
    split_layout(tmp_path, dataset_class(yaml))
    usual = rows(build(yaml, tmp_path))
    folder = tmp_path / dataset_class(yaml).dataset_dir
    shutil.rmtree(folder / "split_fewshot", ignore_errors=True)
    moved(folder, folder / "archive")
    assert rows(build(yaml, tmp_path)) == usual


def test_aircraft_as_its_archive_unpacks(tmp_path):
    FALLBACKS["fgvc_aircraft"][0](tmp_path)
    usual = rows(build("fgvc_aircraft", tmp_path))
    folder = tmp_path / "fgvc_aircraft"
    moved(folder, tmp_path / "aside")
    moved(tmp_path / "aside", folder / "fgvc-aircraft-2013b/data")
    assert rows(build("fgvc_aircraft", tmp_path)) == usual
    moved(folder / "fgvc-aircraft-2013b", tmp_path / "fgvc-aircraft-2013b")
    shutil.rmtree(folder)
    assert rows(build("fgvc_aircraft", tmp_path)) == usual


@pytest.mark.parametrize("yaml", [yaml for yaml in WITH_SPLIT if dataset_class(yaml).image_dir != "."])
@pytest.mark.parametrize("around", ["", "archive"])
def test_class_folders_may_lie_without_the_folder_around_them(yaml, around, tmp_path):
    """As Kaggle has Caltech101, and torchvision SUN397: found by the images that the split names."""
    kind = dataset_class(yaml)
    split_layout(tmp_path, kind)
    usual = build(yaml, tmp_path)
    folder = tmp_path / kind.dataset_dir
    shutil.rmtree(folder / "split_fewshot", ignore_errors=True)
    moved(folder / kind.image_dir, folder / around)
    (folder / kind.image_dir).rmdir()
    dataset = build(yaml, tmp_path)
    assert rows(dataset) == rows(usual)
    assert dataset.image_dir == str(folder / around)
    assert all(item.impath.startswith(str(folder / around / "")) for item in dataset.test)


def test_sun397_as_torchvision_unpacks_it(tmp_path):
    FALLBACKS["sun397"][0](tmp_path)
    usual = rows(build("sun397", tmp_path))
    moved(tmp_path / "sun397", tmp_path / "SUN397")
    moved(tmp_path / "SUN397/SUN397", tmp_path / "SUN397")
    (tmp_path / "SUN397/SUN397").rmdir()
    (tmp_path / "sun397").rmdir()
    assert rows(build("sun397", tmp_path)) == usual


def test_cars_as_kaggle_has_them(tmp_path):
    FALLBACKS["stanford_cars"][0](tmp_path)
    usual = rows(build("stanford_cars", tmp_path))
    folder = tmp_path / "stanford_cars"
    for part in ("cars_train", "cars_test"):
        moved(folder / part, tmp_path / part)
        moved(tmp_path / part, folder / part / part)
    (folder / "cars_test_annos_withlabels.mat").rename(folder / "cars_test_annos_withlabels (1).mat")
    (folder / "car_devkit").mkdir()
    (folder / "devkit").rename(folder / "car_devkit/devkit")
    dataset = build("stanford_cars", tmp_path)
    assert rows(dataset) == usual
    assert {Path(item.impath).parts[-3:-1] for item in dataset.test} == {("cars_test", "cars_test")}


def test_images_of_one_folder_do_not_stand_in_for_another_s(tmp_path):
    """Training and test images of Cars have the same names."""
    FALLBACKS["stanford_cars"][0](tmp_path)
    (tmp_path / "stanford_cars/cars_train").rename(tmp_path / "aside")
    refused("stanford_cars", tmp_path, "stanford_cars/cars_train: missing; get cars_train/ from", "has cars_test/")


@pytest.mark.parametrize(
    "yaml, found",
    [("oxford_flowers", "flower_data/train/1"), ("caltech101", "accordion"), ("sun397", "data"), ("food101", "apple")],
)
def test_what_is_there_instead_is_named(yaml, found, tmp_path):
    kind = dataset_class(yaml)
    split_layout(tmp_path, kind)
    folder = tmp_path / kind.dataset_dir
    shutil.rmtree(folder / kind.image_dir)
    picture(folder / found / "another.jpg")
    refused(yaml, tmp_path, folder / kind.image_dir, "missing", f"{folder} has {found.split('/')[0]}/, split_", "get ")


def test_parts_in_the_place_of_classes_are_refused(tmp_path):
    class_folders(tmp_path / "food-101/images/train", ("apple_pie", "waffles"), 2)
    class_folders(tmp_path / "food-101/images/test", ("apple_pie", "waffles"), 2)
    refused("food101", tmp_path, "food-101/images: found test, train; expected the folders of all classes")


@pytest.mark.parametrize("number, kind", list(enumerate(KINDS)))
def test_images_of_every_kind_are_read_as_rgb(number, kind, tmp_path):
    picture(tmp_path / "x.PNG", number)
    image = open_image(tmp_path / "x.PNG")
    assert (image.mode, image.size) == ("RGB", (26, 30))
    pixels = np.asarray(image)
    assert len(np.unique(pixels)) > {"1": 1, "P": 5}.get(kind, 20)  # neither black nor clipped to white
    if kind == "I;16":
        deep = np.asarray(Image.open(tmp_path / "x.PNG")).astype(int)
        assert np.abs(pixels.astype(int) - (deep // 256)[:, :, None]).max() <= 1


def test_every_dataset_has_a_config_and_is_tested():
    made = {"digits", "colored_digits", "mnist5k", "colored_mnist", "glyphs"}  # made on first use, tested elsewhere
    yamls = {path.stem for path in (ROOT / "configs/datasets").glob("*.yaml")}
    assert yamls == made | set(FALLBACKS) | set(WITH_SPLIT)
    assert {dataset_class(yaml).__module__.rpartition(".")[2] for yaml in yamls} == yamls


def test_ragged_classes_as_plantdoc_has_them(tmp_path, command):
    """Eight of its 27 classes have fewer than 16 training images; nothing counts classes by shots."""
    kind = dataset_class("plantdoc")
    split = {"train": [], "val": [], "test": []}
    counts = (1, 3, 20)
    for label, count in enumerate(counts):
        for part, n in (("train", count), ("val", 2), ("test", 2)):
            split[part] += [[f"{part}{label}_{i}.jpg", label, f"leaf {label}"] for i in range(n)]
    split_layout(tmp_path, kind)
    source = next((tmp_path / "plantdoc/all_images").rglob("*.jpg"))
    for entries in split.values():
        for name, _, _ in entries:
            shutil.copy(source, tmp_path / "plantdoc/all_images" / name)
    write(tmp_path / "plantdoc" / kind.split_file, split)
    dataset = build("plantdoc", tmp_path, NUM_SHOTS=16)
    assert [sum(item.label == label for item in dataset.train_x) for label in range(3)] == [1, 3, 16]
    run = command("TipX", "plantdoc", tmp_path, shots=16)
    assert run.status == 0, run.err
    assert "leaf 0 (1), leaf 1 (3)" in run.log
