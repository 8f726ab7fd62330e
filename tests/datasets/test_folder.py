"""Folder: images of one's own."""

import json

import pytest
from building import build, rows
from layouts import class_folders, picture, write

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
    lines = ["path,label,split", "own.png,ant,train", "own.png,ant,val"]
    for i, place in enumerate(("one/x.png", "two/x.png")):
        picture(tmp_path / "aside" / place, i)
        lines.append(f"{above}{'' if form == 'absolute' else '/aside'}/{place},ant,test")
    picture(tmp_path / "my_images/own.png")
    write(tmp_path / "my_images/list.csv", "\n".join(lines))
    before = sorted(tmp_path.rglob("*"))
    dataset = build("folder", tmp_path, **{"FOLDER.CSV": "list.csv", "CORRUPTION": "inverse-5"})
    copies = {item.impath for item in dataset.test}
    assert len(copies) == 2 and all("/../" not in copy for copy in copies)
    added = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert {str(path) for path in added if path.suffix == ".png"} == copies
    assert all(path.is_relative_to(tmp_path / "my_images") for path in added)
