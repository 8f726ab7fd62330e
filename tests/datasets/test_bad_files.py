"""Every kind of file that a dataset reads, missing or broken: one line that names it and the remedy."""

import json
import shutil

import pytest
from building import build, dataset_class
from layouts import FALLBACKS, WITH_SPLIT, imagenet, split_layout, variant, write

from imo.errors import InputError

FILES = {
    "oxford_pets": ("annotations/trainval.txt", "annotations/test.txt"),
    "stanford_cars": ("devkit/cars_train_annos.mat", "devkit/cars_meta.mat", "cars_test_annos_withlabels.mat"),
    "oxford_flowers": ("imagelabels.mat", "cat_to_name.json"),
    "fgvc_aircraft": ("variants.txt", "images_variant_train.txt", "images_variant_test.txt"),
    "sun397": ("ClassName.txt", "Training_01.txt", "Testing_01.txt"),
    "ucf101": ("ucfTrainTestlist/classInd.txt", "ucfTrainTestlist/trainlist01.txt"),
    "imagenet": ("classnames.txt",),
    "imagenetv2": ("classnames.txt",),
    "openimages": ("oi_data.csv",),
}
PAIRS = [(yaml, name) for yaml, names in FILES.items() for name in names]


def refused(yaml, root, *words):
    with pytest.raises(InputError) as found:
        build(yaml, root)
    message = str(found.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert str(word) in message, message


@pytest.fixture
def layout(tmp_path):
    """layout(yaml): the folder of a dataset without its split file."""

    def make(yaml):
        FALLBACKS[yaml][0](tmp_path)
        return tmp_path / dataset_class(yaml).dataset_dir

    return make


@pytest.mark.parametrize("yaml, name", PAIRS)
def test_a_missing_file_is_named_with_where_to_get_it(yaml, name, layout, tmp_path):
    folder = layout(yaml)
    (folder / name).unlink()
    kind = dataset_class(yaml)
    refused(yaml, tmp_path, folder / name, "missing", "get ", "from ", kind.split_file, "DATASETS.md")


@pytest.mark.parametrize("yaml, name", PAIRS)
def test_a_broken_file_is_named(yaml, name, layout, tmp_path):
    folder = layout(yaml)
    (folder / name).write_bytes((folder / name).read_bytes()[:3] + b"\x9c nonsense\n")
    refused(yaml, tmp_path, folder / name)


@pytest.mark.parametrize("yaml", WITH_SPLIT)
def test_without_split_and_files_the_split_s_page_is_named(yaml, tmp_path):
    kind = dataset_class(yaml)
    (tmp_path / kind.dataset_dir).mkdir()
    refused(yaml, tmp_path, kind.split_file, "split file is missing", kind.sources[kind.split_file])


@pytest.mark.parametrize("yaml", WITH_SPLIT)
def test_a_broken_split_file_is_not_replaced_by_a_computed_one(yaml, tmp_path):
    kind = dataset_class(yaml)
    if yaml in FALLBACKS:
        FALLBACKS[yaml][0](tmp_path)
    write(tmp_path / kind.dataset_dir / kind.split_file, json.dumps({"train": []}))
    refused(yaml, tmp_path, kind.split_file, "broken split file")


def test_an_image_of_a_split_that_is_missing_is_named(tmp_path):
    kind = dataset_class("cub")
    split_layout(tmp_path, kind)
    path = next((tmp_path / "cub/images").rglob("*.jpg"))
    path.unlink()
    refused("cub", tmp_path, path, "missing", kind.split_file)


def test_an_image_of_a_computed_split_that_is_missing_is_named(layout, tmp_path):
    path = layout("oxford_pets") / "images/Abyssinian_6.jpg"
    path.unlink()
    refused("oxford_pets", tmp_path, path, "missing", "annotations/test.txt")


def test_imagenet_s_folders(tmp_path):
    imagenet(tmp_path)
    images = tmp_path / "imagenet/images"
    shutil.move(str(images / "val/n01440764"), str(tmp_path / "aside"))
    refused("imagenet", tmp_path, images, "n01440764 is not both in train and in val")
    shutil.rmtree(images / "val")
    (images / "val").mkdir()
    (images / "val/ILSVRC2012_val_00000001.JPEG").touch()
    refused("imagenet", tmp_path, images / "val", "no class folders", "valprep.sh")
    shutil.rmtree(images / "val")
    refused("imagenet", tmp_path, images / "val", "missing", "image-net.org")


def test_a_class_folder_that_classnames_lacks_is_named(tmp_path):
    variant(tmp_path / "imagenet-adversarial/imagenet-a", ("n01443537", "n09999999"))
    refused("imagenet_a", tmp_path, "imagenet-a/n09999999", "classnames.txt")


def test_imagenet_s_classnames_serve_its_variants(tmp_path):
    variant(tmp_path / "imagenet-adversarial/imagenet-a", ("n01443537",))
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet-adversarial/classnames.txt").rename(tmp_path / "imagenet/classnames.txt")
    assert build("imagenet_a", tmp_path).classnames == ["goldfish"]


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
