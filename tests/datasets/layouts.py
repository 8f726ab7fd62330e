"""Each dataset's layout in miniature: class folders, annotation files, images of every kind that is met in the wild."""

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

KINDS = ("RGB", "L", "P", "CMYK", "I;16", "RGBA", "LA", "1")


def picture(path, number=0):
    """An image file; the number picks its kind. A name's suffix need not tell the format, as on many a disk."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = KINDS[number % len(KINDS)]
    rng = np.random.default_rng([number, *os.fsencode(path.name)])
    if kind == "I;16":
        image = Image.fromarray(rng.integers(0, 1 << 16, (30, 26), np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (30, 26, 3), np.uint8)).convert(kind)
    image.save(path, "JPEG" if kind in ("CMYK", "RGB") else "PNG")


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def split_layout(root, dataset, classes=("one thing", "another_thing", "third"), counts=(3, 2, 2)):
    """The layout of a dataset with its split file: counts of train, val and test images for each class."""
    folder = Path(root) / dataset.dataset_dir
    split = {"train": [], "val": [], "test": []}
    for label, name in enumerate(classes):
        for part, count in zip(split, counts):
            for i in range(count):
                file = f"{name} ü/{part}({i}).{'JPEG' if i else 'jpg'}"
                picture(folder / dataset.image_dir / file, label + i)
                split[part].append([file, label, name])
    write(folder / dataset.split_file, split)


def class_folders(folder, names, count, suffixes=(".jpg",)):
    for i, name in enumerate(names):
        for j in range(count):
            picture(Path(folder) / name / f"image_{j:04d}{suffixes[j % len(suffixes)]}", i + j)


def caltech101(root):
    names = ("BACKGROUND_Google", "Faces", "Faces_easy", "Leopards", "accordion")
    class_folders(root / "caltech-101/101_ObjectCategories", names, 10)
    write(root / "caltech-101/101_ObjectCategories/accordion/._image_0000.jpg", "")
    write(root / "caltech-101/101_ObjectCategories/accordion/notes.txt", "")


def oxford_pets(root):
    folder = root / "oxford_pets"
    for part, numbers in (("trainval", range(5)), ("test", range(5, 7))):
        lines = []
        for label, breed in ((2, "great_pyrenees"), (1, "Abyssinian")):
            for i in numbers:
                picture(folder / f"images/{breed}_{i}.jpg", i)
                lines.append(f"{breed}_{i} {label} 1 1")
        write(folder / f"annotations/{part}.txt", "\n".join(lines) + "\n")


def stanford_cars(root):
    folder = root / "stanford_cars"
    names = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], dtype=object)
    write(folder / "devkit/README.txt", "")
    savemat(folder / "devkit/cars_meta.mat", {"class_names": names})
    for part, file, count in (
        ("cars_train", "devkit/cars_train_annos.mat", 10),
        ("cars_test", "cars_test_annos_withlabels.mat", 3),
    ):
        rows = np.zeros(count, dtype=[("bbox_x1", object), ("class", object), ("fname", object)])
        for i in range(count):
            rows[i] = (4, i % 2 + 1, f"{i + 1:05d}.jpg")
            picture(folder / part / f"{i + 1:05d}.jpg", i)
        savemat(folder / file, {"annotations": rows})


def oxford_flowers(root):
    folder = root / "oxford_flowers"
    labels = [2] * 10 + [1] * 5
    for i in range(len(labels)):
        picture(folder / f"jpg/image_{i + 1:05d}.jpg", i)
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], np.uint8)})
    write(folder / "cat_to_name.json", {"1": "pink primrose", "2": "hard-leaved pocket orchid"})


def food101(root):
    class_folders(root / "food-101/images", ("apple_pie", "waffles"), 10)


def fgvc_aircraft(root):
    folder = root / "fgvc_aircraft"
    write(folder / "variants.txt", "707-320\nCessna 172\n")
    for part, count in (("train", 4), ("val", 2), ("test", 3)):
        lines = []
        for i in range(count):
            name = f"{count}{i:06d}"
            picture(folder / f"images/{name}.jpg", i)
            lines.append(f"{name} {'Cessna 172' if i % 2 else '707-320'}")
        write(folder / f"images_variant_{part}.txt", "\n".join(lines) + "\n")


def sun397(root):
    folder = root / "sun397"
    scenes = ("/a/abbey", "/a/apse/indoor", "/c/control_tower/outdoor")
    write(folder / "ClassName.txt", "\n".join(scenes) + "\n")
    for file, numbers in (("Training_01.txt", range(5)), ("Testing_01.txt", range(5, 7))):
        names = [f"{scene}/sun_{i}.jpg" for scene in scenes for i in numbers]
        for i, name in enumerate(names):
            picture(folder / f"SUN397{name}", i)
        write(folder / file, "\n".join(names) + "\n")


def dtd(root):
    class_folders(root / "dtd/images", ("banded", "dotted"), 10, (".JPG", ".jpeg", ".png"))


def eurosat(root):
    class_folders(root / "eurosat/2750", ("AnnualCrop", "Forest", "SeaLake"), 10)


def ucf101(root):
    folder = root / "ucf101"
    write(folder / "ucfTrainTestlist/classInd.txt", "1 TaiChi\n2 YoYo\n")
    for part, numbers in (("trainlist01", range(5)), ("testlist01", range(5, 7))):
        lines = []
        for label, (action, frames) in enumerate((("TaiChi", "Tai_Chi"), ("YoYo", "Yo_Yo")), 1):
            for i in numbers:
                video = f"v_{action}_g{i:02d}_c01"
                picture(folder / f"UCF-101-midframes/{frames}/{video}.jpg", i)
                lines.append(f"{action}/{video}.avi" + (f" {label}" if part == "trainlist01" else ""))
        write(folder / f"ucfTrainTestlist/{part}.txt", "\n".join(lines) + "\n")


WNIDS = {"n01440764": "tench", "n01443537": "goldfish", "n01484850": "great white shark", "n01518878": "ostrich"}


def imagenet(root, train=14, val=3):
    folder = root / "imagenet"
    write(folder / "classnames.txt", "".join(f"{wnid} {name}\n" for wnid, name in WNIDS.items()))
    for label, wnid in enumerate(WNIDS):
        for i in range(train):
            picture(folder / f"images/train/{wnid}/{wnid}_{i}.JPEG", label + i)
        for i in range(val):
            picture(folder / f"images/val/{wnid}/ILSVRC2012_val_{i:08d}.JPEG", label + i)


def variant(folder, wnids, count=3):
    for label, wnid in enumerate(wnids):
        for i in range(count):
            picture(folder / wnid / f"{i}.jpg", label + i)
    write(folder.parent / "classnames.txt", "".join(f"{wnid} {name}\n" for wnid, name in WNIDS.items()))


def imagenetv2(root):
    variant(root / "imagenetv2/imagenetv2-matched-frequency-format-val", ("0", "1", "2", "3"))


def imagenet_sketch(root):
    variant(root / "imagenet-sketch/images", WNIDS)


def imagenet_a(root):
    variant(root / "imagenet-adversarial/imagenet-a", ("n01518878", "n01443537"))
    write(root / "imagenet-adversarial/imagenet-a/README.txt", "")


def imagenet_r(root):
    variant(root / "imagenet-rendition/imagenet-r", ("n01440764", "n01484850", "n01518878"))


def openimages(root):
    folder = root / "open_images_v4"
    lines = ["ImageID,DisplayName,type"]
    names = ("Tortoise", "Magpie", "Tortoise", '"Cat, big"', "Magpie", "Tortoise", '"Cat, big"')
    for i, name in enumerate(names):
        picture(folder / f"images_classes/{i:016x}.jpg", i)
        lines.append(f"{i:016x},{name},{'train' if i < 4 else 'validation'}")
    write(folder / "oi_data.csv", "\n".join(lines) + "\n")


def folder(root):
    class_folders(root / "my_images", ("a cat", "zebra_fish"), 10, (".PNG", ".jpg", ".webp"))


# {yaml: (layout, class names in order of label, (train, val, test) images, a prompt)}; sizes worked out by hand from
# CoOp's shares: half, a fifth, the rest of each class; or a fifth of trainval for validation.
FALLBACKS = {
    "caltech101": (caltech101, ["face", "leopard", "accordion"], (15, 6, 9), "a photo of a face."),
    "oxford_pets": (
        oxford_pets, ["abyssinian", "great_pyrenees"], (8, 2, 4), "a photo of a abyssinian, a type of pet.",
    ),
    "stanford_cars": (
        stanford_cars, ["2000 AM General Hummer SUV", "2012 Acura RL Sedan"], (8, 2, 3),
        "a photo of a 2000 AM General Hummer SUV.",
    ),
    "oxford_flowers": (
        oxford_flowers, ["pink primrose", "hard-leaved pocket orchid"], (5 + 2, 2 + 1, 3 + 2),
        "a photo of a pink primrose, a type of flower.",
    ),
    "food101": (food101, ["apple_pie", "waffles"], (10, 4, 6), "a photo of apple pie, a type of food."),
    "fgvc_aircraft": (
        fgvc_aircraft, ["707-320", "Cessna 172"], (4, 2, 3), "a photo of a 707-320, a type of aircraft.",
    ),
    "sun397": (sun397, ["abbey", "indoor apse", "outdoor control_tower"], (12, 3, 6), "a photo of a abbey."),
    "dtd": (dtd, ["banded", "dotted"], (10, 4, 6), "banded texture."),
    "eurosat": (
        eurosat, ["Annual Crop Land", "Forest", "Sea or Lake"], (15, 6, 9),
        "a centered satellite photo of Annual Crop Land.",
    ),
    "ucf101": (ucf101, ["Tai_Chi", "Yo_Yo"], (8, 2, 4), "a photo of a person doing Tai Chi."),
    "imagenet": (imagenet, list(WNIDS.values()), (56 - 8, 8, 12), "a photo of a tench."),
    "imagenetv2": (imagenetv2, list(WNIDS.values()), (12, 0, 12), "a photo of a tench."),
    "imagenet_sketch": (imagenet_sketch, list(WNIDS.values()), (12, 0, 12), "a photo of a tench."),
    "imagenet_a": (imagenet_a, ["goldfish", "ostrich"], (6, 0, 6), "a photo of a goldfish."),
    "imagenet_r": (imagenet_r, ["tench", "great white shark", "ostrich"], (9, 0, 9), "a photo of a tench."),
    "openimages": (openimages, ["Tortoise", "Magpie", "Cat, big"], (4, 3, 3), "a photo of a Tortoise."),
    "folder": (folder, ["a cat", "zebra_fish"], (10, 4, 6), "a photo of a a cat."),
}  # fmt: skip
TEST_ONLY = ("imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")
WITH_SPLIT = (
    "caltech101", "oxford_pets", "stanford_cars", "oxford_flowers", "food101", "sun397", "dtd", "eurosat", "ucf101",
    "cub", "plantdoc", "stanford_dogs",
)  # fmt: skip
