import csv
import random

import pytest
from building import build, rows
from layouts import write

from imo.errors import InputError


def test_classes_come_in_order_of_appearance_and_validation_is_tested_on(layouts_root):
    dataset = build("openimages", layouts_root)
    assert dataset.classnames == ["Tortoise", "Magpie", "Cat, big"]
    assert rows(dataset)["val"] == rows(dataset)["test"]


def official(root, images=True):
    """Official files: 230 training images of a tortoise, 5 of a magpie, one of both, and labels that deny."""
    folder = root / "open_images_v4"
    write(folder / "class-descriptions-boxable.csv", "/m/1,Tortoise\n/m/2,Magpie\n/m/3,Unicorn\n")
    lines = {"train": [], "validation": []}
    lines["train"] += [f"t{i:03d},verification,/m/1,1" for i in range(230)]
    lines["train"] += [f"m{i:03d},verification,/m/2,1" for i in range(5)]
    lines["train"] += ["t000,verification,/m/2,1", "m001,verification,/m/1,0", "m002,verification,/m/3,0"]
    lines["validation"] += [f"v{i:03d},verification,/m/{1 + i % 2},1" for i in range(30)]
    for part, content in lines.items():
        name = f"{part}-annotations-human-imagelabels-boxable.csv"
        write(folder / name, "\n".join(["ImageID,Source,LabelName,Confidence", *content]) + "\n")
        for line in content if images else ():
            (folder / "images_classes").mkdir(exist_ok=True)
            (folder / "images_classes" / f"{line[:4]}.jpg").touch()
    return folder


def test_official_labels_are_sampled_by_seed(tmp_path):
    folder = official(tmp_path)
    one, again, other = (build("openimages", tmp_path, SEED=seed) for seed in (1, 1, 2))
    assert one.classnames == ["Tortoise", "Magpie"]  # nothing shows a unicorn
    counts = [sum(item.label == label for item in one.train_x) for label in (0, 1)]
    assert counts[0] == 200 and counts[1] in (5, 6)
    assert [sum(item.label == label for item in one.val) for label in (0, 1)] == [10, 10]
    every = [item.impath for item in (*one.train_x, *one.val)]
    assert len(set(every)) == len(every)
    names = {(item.impath[-8:-4], item.classname) for item in one.train_x}
    assert ("m001", "Magpie") in names and not {"m001", "m002"} & {image for image, name in names if name == "Tortoise"}
    assert rows(one) == rows(again) != rows(other)
    with open(folder / "oi_data-seed_1.csv", newline="") as file:
        kept = list(csv.DictReader(file))
    wanted = (folder / "oi_images-seed_1.txt").read_text().split()
    assert wanted == [f"{row['type']}/{row['ImageID']}" for row in kept]
    assert len(wanted) == len(every)
    generator = random.Random(1)
    assert wanted[:200] == [f"train/t{i:03d}" for i in generator.sample(range(230), 200)]


def test_the_images_to_download_are_written_down_before_they_are_there(tmp_path, cli):
    folder = official(tmp_path, images=False)
    assert cli("prepare", "openimages", "--root", tmp_path)[0] == 1
    assert (folder / "oi_images-seed_1.txt").exists()
    (folder / "oi_images-seed_1.txt").unlink()
    (folder / "oi_data-seed_1.csv").unlink()
    with pytest.raises(InputError, match=r"images_classes: missing; get images_classes/ from .*oi_images-seed_"):
        build("openimages", tmp_path)
    assert (folder / "oi_images-seed_1.txt").exists()


@pytest.mark.parametrize(
    "name, content",
    [("class-descriptions-boxable.csv", ""), ("train-annotations-human-imagelabels-boxable.csv", "ImageID\nx\n")],
)
def test_broken_official_files_are_named(tmp_path, name, content):
    folder = official(tmp_path)
    write(folder / name, content)
    with pytest.raises(InputError, match="open_images_v4"):
        build("openimages", tmp_path)


def test_a_table_with_another_type_is_named(layouts_root, tmp_path):
    write(tmp_path / "open_images_v4/oi_data.csv", "ImageID,DisplayName,type\nx,Cat,trian\n")
    with pytest.raises(InputError, match=r"oi_data\.csv: broken \(no 'trian'\)"):
        build("openimages", tmp_path)
    (tmp_path / "open_images_v4/oi_data.csv").unlink()
    with pytest.raises(InputError, match=r"oi_data\.csv: missing; get oi_data\.csv from the IMO authors"):
        build("openimages", tmp_path)
