"""Folder: images of one's own."""

import json

import numpy as np
import pytest
from building import build, rows
from layouts import class_folders, picture, write
from PIL import Image

from imo.errors import InputError
from imo.protocol import Protocol


def test_given_parts_are_kept(tmp_path):
    for part, count in (("train", 3), ("validation", 1), ("test", 2)):
        class_folders(tmp_path / "my_images" / part, ("b", "a"), count)
    dataset = build("folder", tmp_path)
    assert dataset.classnames == ["a", "b"]
    assert (len(dataset.train_x), len(dataset.val), len(dataset.test)) == (6, 2, 4)
    assert all("/validation/" in item.impath for item in dataset.val)
    assert str(dataset.protocol) == "val (full)"


def test_without_validation_images_training_images_are_held_out(tmp_path):
    for part, count in (("train", 5), ("test", 2)):
        class_folders(tmp_path / "my_images" / part, ("b", "a"), count)
    dataset = build("folder", tmp_path, NUM_SHOTS=2)
    assert dataset.protocol == Protocol("full", "held-out train")
    support, val = ({item.impath for item in items} for items in (dataset.train_x, dataset.val))
    assert (len(support), len(val), len(support & val)) == (4, 6, 0)


@pytest.mark.parametrize("val", ["valid", "Validation"])
@pytest.mark.parametrize("form", ["folders", "csv"])
def test_without_test_images_validation_images_are_tested_on(tmp_path, capsys, form, val):
    lines = ["path,label,split"]
    for part, count in (("Train", 5), (val, 2)):
        class_folders(tmp_path / "my_images" / part, ("b", "a"), count)
        lines += [f"{part}/{name}/image_{i:04d}.jpg,{name},{part}" for name in ("a", "b") for i in range(count)]
    write(tmp_path / "my_images/list.csv", "\n".join(lines))
    dataset = build("folder", tmp_path, **({"FOLDER.CSV": "list.csv"} if form == "csv" else {}), NUM_SHOTS=2)
    assert (len(dataset.train_x), len(dataset.test)) == (4, 4)
    assert all(f"/{val}/" in item.impath for item in dataset.test)
    assert dataset.protocol == Protocol("full", "held-out train")
    assert "No part for testing: validation images are tested on" in capsys.readouterr().out


@pytest.mark.parametrize("wrap", ["images", "EuroSAT/2750"])
def test_a_folder_around_the_classes_is_no_class(tmp_path, wrap):
    class_folders(tmp_path / "my_images" / wrap, ("b", "a"), 10)
    dataset = build("folder", tmp_path)
    assert dataset.classnames == ["a", "b"]
    assert (len(dataset.train_x), len(dataset.val), len(dataset.test)) == (10, 4, 6)
    class_folders(tmp_path / "my_images", ("c",), 4)  # now it is one: its pictures are no longer all there is
    assert build("folder", tmp_path).classnames == sorted([wrap.split("/")[0], "c"])


@pytest.mark.parametrize("names", [("only",), ("images/only",)])
def test_one_class_is_too_few(tmp_path, names):
    class_folders(tmp_path / "my_images", names, 10)
    with pytest.raises(InputError, match=r"my_images[^\n]*expected two classes or more, got 'only' alone$"):
        build("folder", tmp_path)


def test_spaces_around_a_label_do_not_make_a_class(tmp_path):
    class_folders(tmp_path / "my_images", (" a", "b"), 4)
    assert build("folder", tmp_path).classnames == ["a", "b"]
    paths = sorted(path.relative_to(tmp_path / "my_images") for path in (tmp_path / "my_images").rglob("*.jpg"))
    lines = ["path,label", *(f"{path},{['a', ' a', 'a ', 'b'][i % 4]}" for i, path in enumerate(paths))]
    write(tmp_path / "my_images/list.csv", "\n".join(lines))
    assert build("folder", tmp_path, **{"FOLDER.CSV": "list.csv"}).classnames == ["a", "b"]


def test_a_table_written_on_windows(tmp_path):
    lines = ["path,label,split"]
    for part in ("train", "test"):
        class_folders(tmp_path / "my_images" / part, ("a", "b"), 2)
        lines += [rf"{part}\{name}\image_000{i}.jpg,{name},{part.upper()}" for name in ("a", "b") for i in (0, 1)]
    (tmp_path / "my_images/list.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    dataset = build("folder", tmp_path, **{"FOLDER.CSV": "list.csv"})
    assert (len(dataset.train_x) + len(dataset.val), len(dataset.test)) == (4, 4)
    assert all("\\" not in item.impath for item in dataset.test)


def test_what_no_image_is_is_left_out_and_said_in_the_log(tmp_path, command):
    class_folders(tmp_path / "data/my_images", ("a", "b"), 8, ("", ".jpg"))
    write(tmp_path / "data/my_images/a/paper.pdf", "%PDF-1.4")
    class_folders(tmp_path / "data/my_images/a", (".ipynb_checkpoints",), 3)
    run = command("ZeroshotCLIP", "folder", tmp_path / "data", shots=0)
    assert (run.status, run.results["n_test"]) == (0, 4), run.err
    said = [line for line in run.log.splitlines() if "Left out" in line]
    assert len(said) == 1 and "files that are no images 1 (a/paper.pdf)" in said[0]
    assert "hidden files 3 (a/.ipynb_checkpoints/image_0000.jpg)" in said[0]


def test_photos_are_turned_by_option_and_features_kept_apart(tmp_path, command):
    rng = np.random.default_rng(0)
    for root, turned in (("lying", True), ("standing", False)):
        for name in ("a", "b"):
            for i in range(4):
                pixels = Image.fromarray(rng.integers(0, 256, (3, 5, 3), np.uint8)).resize((80, 48))
                exif = Image.Exif()
                exif[0x0112] = 8 if turned else 1  # 8: turn by 90 degrees, counter-clockwise
                path = tmp_path / root / "my_images" / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels.save(path, exif=exif)
    for number, (path, turn) in enumerate((("lying", True), ("lying", False), ("lying", True), ("standing", True))):
        options = ("DATASET.EXIF", turn)
        run = command("ZeroshotCLIP", "folder", tmp_path / path, *options, shots=0, output=f"out{number}")
        assert run.status == 0, run.err
        assert run.results["images_encoded"]["clip"] == (0 if number == 2 else 2)


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
        ("path,label,split\nx.jpg,a,trian\n", "expected a split of train, val or test, or none"),
        ("path,label,split\nx.jpg,a,train\ny.jpg,a,\n", "1 lines have no split and others do"),
        ("path,label,split\nx.jpg,a,train\nnot there.jpg,a,test\n", "not there.jpg: image named in"),
        ("path,label,split\nx.jpg,a,train\n", "expected training and test images, got 1 and 0"),
        ("path,label,split\nx.jpg,a,train\ny.jpg,b,test\n", "list.csv: no training images of 'b' under its label"),
        ("path,label,split\nx.jpg,a,train\ny.jpg,a,test\n", "expected two classes or more, got 'a' alone"),
        ("path,label\nx.jpg,apple\ny.jpg,Apple\n", "'Apple', 'apple' are two classes"),
        ("path,label\nx.jpg,a\ny.jpg,  \n", "no label in the line of 'y.jpg'"),
        ("path,label\nx.jpg,a\ny.jpg\n", "no label in the line of 'y.jpg'"),
        ("path,label\n,a\n", "no path in the line of 'a'"),
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


def test_a_yaml_of_one_s_own_is_all_it_takes(tmp_path, command):
    class_folders(tmp_path / "data/birds", ("blue tit", "great_tit"), 8)
    config = tmp_path / "birds.yaml"
    config.write_text(
        json.dumps({"DATASET": {"NAME": "Folder", "FOLDER": {"PATH": "birds", "TEMPLATE": "{}, a bird."}}})
    )
    argv = command.argv("TipAdapter", "folder", tmp_path / "data")
    argv[argv.index("--dataset-config-file") + 1] = str(config)
    assert command.main(argv) == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert (results["dataset"], results["n_test"]) == ("birds", 4)
    assert "'blue tit, a bird.', 'great tit, a bird.'" in (tmp_path / "out/log.txt").read_text()


@pytest.mark.parametrize("form", ["relative", "absolute"])
def test_a_table_may_name_images_anywhere_and_their_corrupted_copies_stay_inside(tmp_path, form):
    above = tmp_path / "aside" if form == "absolute" else ".."
    lines = ["path,label,split", "own.png,ant,train", "own.png,ant,val", "two.png,bee,train"]
    for i, place in enumerate(("one/x.png", "two/x.png")):
        picture(tmp_path / "aside" / place, i)
        lines.append(f"{above}{'' if form == 'absolute' else '/aside'}/{place},ant,test")
    for name in ("own.png", "two.png"):
        picture(tmp_path / "my_images" / name)
    write(tmp_path / "my_images/list.csv", "\n".join(lines))
    before = sorted(tmp_path.rglob("*"))
    dataset = build("folder", tmp_path, **{"FOLDER.CSV": "list.csv", "CORRUPTION": "inverse-5"})
    copies = {item.impath for item in dataset.test}
    assert len(copies) == 2 and all("/../" not in copy for copy in copies)
    added = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert {str(path) for path in added if path.suffix == ".png"} == copies
    assert all(path.is_relative_to(tmp_path / "my_images") for path in added)
