"""Folder and OpenImages: data without a published split."""

import csv
import json
import random

import pytest
from building import build
from layouts import class_folders, picture, write

from imo.errors import InputError
from imo.workbench.commands.datasets import main


def rows(dataset):
    return {
        part: sorted((item.impath.rsplit("/", 1)[-1], item.classname) for item in items)
        for part, items in (("train", dataset.train_x), ("val", dataset.val), ("test", dataset.test))
    }


# Folder.


def test_given_parts_are_kept(tmp_path):
    for part, count in (("train", 3), ("validation", 1), ("test", 2)):
        class_folders(tmp_path / "my_images" / part, ("b", "a"), count)
    dataset = build("folder", tmp_path)
    assert dataset.classnames == ["a", "b"]
    assert (len(dataset.train_x), len(dataset.val), len(dataset.test)) == (6, 2, 4)
    assert all("/validation/" in item.impath for item in dataset.val)
    assert dataset.tuned_on == "val (full)"


def test_without_validation_images_training_images_are_held_out(tmp_path):
    for part, count in (("train", 5), ("test", 2)):
        class_folders(tmp_path / "my_images" / part, ("b", "a"), count)
    dataset = build("folder", tmp_path, NUM_SHOTS=2)
    assert dataset.tuned_on == "held-out train"
    support, val = ({item.impath for item in items} for items in (dataset.train_x, dataset.val))
    assert (len(support), len(val), len(support & val)) == (4, 6, 0)


@pytest.mark.parametrize("where", ["relative", "absolute"])
def test_a_csv_file(tmp_path, where):
    folder = tmp_path / ("my_images" if where == "relative" else "aside")
    lines = [
        "path,label,split,extra",
        '"b, 1.jpg","Cat, big",train,',
        "x/a.jpg,ant,train,1",
        "c.PNG,ant,val,",
        "d.jpg,ant,test,",
    ]
    for i, name in enumerate(("b, 1.jpg", "x/a.jpg", "c.PNG", "d.jpg")):
        picture(folder / name, i)
    write(folder / "list.csv", "\ufeff" + "\r\n".join(lines) + "\r\n")
    options = {} if where == "relative" else {"FOLDER.PATH": str(folder)}
    dataset = build("folder", tmp_path, **{"FOLDER.CSV": "list.csv"}, **options)
    assert rows(dataset) == {
        "train": [("a.jpg", "ant"), ("b, 1.jpg", "Cat, big")],
        "val": [("c.PNG", "ant")],
        "test": [("d.jpg", "ant")],
    }
    assert dataset.target_name == folder.name


def test_a_csv_file_without_parts_is_split_by_class(tmp_path):
    lines = ["path,label"]
    for label, count in (("few", 2), ("many", 20)):
        for i in range(count):
            picture(tmp_path / f"my_images/{label}{i}.jpg", i)
            lines.append(f"{label}{i}.jpg,{label}")
    write(tmp_path / "my_images/list.csv", "\n".join(lines))
    dataset = build("folder", tmp_path, **{"FOLDER.CSV": "list.csv", "FOLDER.TEMPLATE": "a {} in a box."})
    counts = {
        name: [sum(item.classname == name for item in part) for part in (dataset.train_x, dataset.val, dataset.test)]
        for name in ("few", "many")
    }
    assert counts == {"few": [1, 0, 1], "many": [10, 4, 6]}
    assert dataset.templates == ("a {} in a box.",)
    every = [item.impath for part in (dataset.train_x, dataset.val, dataset.test) for item in part]
    assert len(set(every)) == 22


@pytest.mark.parametrize(
    "content, words",
    [
        ("path\nx.jpg\n", "no column label; expected a first line with path, label"),
        ("path,label,split\nx.jpg,a,trian\n", "expected a split of train, val, validation, test, or none"),
        ("path,label,split\nx.jpg,a,train\ny.jpg,a,\n", "1 lines have no split and others do"),
        ("path,label,split\nx.jpg,a,train\nnot there.jpg,a,test\n", "not there.jpg: image named in"),
        ("path,label,split\nx.jpg,a,train\n", "expected training and test images, got 1 and 0"),
        ("path,label,split\nx.jpg,a,train\nx.jpg,b,test\n", "expected labels 0..0 for the 1 classes"),
        ("path,label\n", "no images"),
    ],
)
def test_a_bad_csv_file_is_named(tmp_path, content, words):
    picture(tmp_path / "my_images/x.jpg")
    picture(tmp_path / "my_images/y.jpg")
    write(tmp_path / "my_images/list.csv", content)
    with pytest.raises(InputError, match=r"list\.csv|my_images") as found:
        build("folder", tmp_path, **{"FOLDER.CSV": "list.csv"})
    assert words in str(found.value)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"FOLDER.PATH": ""}, "DATASET.FOLDER.PATH"),
        ({"FOLDER.PATH": "nowhere"}, "nowhere"),
        ({"FOLDER.CSV": "nowhere.csv"}, "nowhere.csv: missing"),
        ({}, "no images in class folders"),
    ],
)
def test_bad_options_are_named(tmp_path, options, words):
    (tmp_path / "my_images").mkdir()
    with pytest.raises(InputError, match=words):
        build("folder", tmp_path, **options)


# OpenImages.


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


def test_the_images_to_download_are_written_down_before_they_are_there(tmp_path):
    folder = official(tmp_path, images=False)
    assert main(["prepare", "openimages", "--root", str(tmp_path)]) == 1
    assert (folder / "oi_images-seed_1.txt").exists()
    (folder / "oi_images-seed_1.txt").unlink()
    (folder / "oi_data-seed_1.csv").unlink()
    with pytest.raises(
        InputError, match=r"images_classes/\w+\.jpg: image named in .*oi_data-seed_1\.csv is missing and \d+ more"
    ):
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
    with pytest.raises(InputError, match=r"oi_data\.csv: broken \(KeyError: 'trian'\)"):
        build("openimages", tmp_path)
    (tmp_path / "open_images_v4/oi_data.csv").unlink()
    with pytest.raises(InputError, match=r"oi_data\.csv: missing; get oi_data\.csv from the IMO authors"):
        build("openimages", tmp_path)


def test_a_yaml_of_one_s_own_is_all_it_takes(tmp_path, command):
    class_folders(tmp_path / "data/birds", ("blue tit", "great_tit"), 8)
    config = tmp_path / "birds.yaml"
    config.write_text(
        json.dumps({"DATASET": {"NAME": "Folder", "FOLDER": {"PATH": "birds", "TEMPLATE": "{}, a bird."}}})
    )
    argv = command.argv("TipAdapter", "folder", tmp_path / "data")
    argv[argv.index("--dataset-config-file") + 1] = str(config)
    from imo.workbench import train

    assert train.main(argv) == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert (results["dataset"], results["n_test"]) == ("birds", 4)
    assert "'blue tit, a bird.', 'great tit, a bird.'" in (tmp_path / "out/log.txt").read_text()
