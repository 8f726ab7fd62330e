"""Folder: images of one's own."""

import os
from collections import Counter

import numpy as np
import pytest
from building import build, rows
from layouts import class_folders, picture, write
from PIL import Image

from imo.errors import InputError
from imo.protocol import Protocol
from imo.workbench.report.load import gather


def yaml_of(folder, name, **options):
    """A YAML file of a dataset of one's own."""
    write(folder / f"{name}.yaml", {"DATASET": {"NAME": "Folder", "FOLDER": options}})
    return folder / f"{name}.yaml"


def paths(items):
    return sorted(item.impath for item in items)


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
    run = command("TipAdapter", yaml_of(tmp_path, "tits", PATH="birds", TEMPLATE="{}, a bird."), tmp_path / "data")
    assert (run.results["dataset"], run.results["trained_on"], run.results["n_test"]) == ("tits", "tits", 4)
    assert "'blue tit, a bird.', 'great tit, a bird.'" in run.log
    assert [line.split() for line in run.log.splitlines() if line.startswith("Dataset")] == [["Dataset", "tits"]]


# One name everywhere.


@pytest.mark.parametrize("corruption", ["", "inverse-3"])
def test_without_a_yaml_the_folder_gives_the_name(tmp_path, corruption):
    class_folders(tmp_path / "pictures/birds", ("b", "a"), 4)
    dataset = build("folder", tmp_path, **{"FOLDER.PATH": "pictures/birds/../birds/.", "CORRUPTION": corruption})
    assert dataset.title == "birds"
    assert dataset.target_name == ("birds-inverse-3" if corruption else "birds")


def test_messages_and_targets_have_the_name(tmp_path, command):
    class_folders(tmp_path / "data/birds", ("b", "a"), 8)
    class_folders(tmp_path / "data/mice", ("c", "a"), 8)
    yamls = [yaml_of(tmp_path, name, PATH=name) for name in ("birds", "mice")]
    made = command("TipAdapter", yamls[0], tmp_path / "data", output="made")
    flags = ("--eval-only", "--model-dir", made.folder)
    shifted = command("TipAdapter", yamls[0], tmp_path / "data", "DATASET.CORRUPTION", "inverse-3", flags=flags)
    assert (shifted.results["dataset"], shifted.results["trained_on"]) == ("birds-inverse-3", "birds")
    strange = command("TipAdapter", yamls[1], tmp_path / "data", flags=flags, output="strange")
    assert strange.status == 2 and "on the classes of mice" in strange.err


def test_two_sets_of_one_name_are_refused_in_one_report(tmp_path, command):
    for name in ("birds", "mice"):
        class_folders(tmp_path / "data" / name, ("b", "a"), 8)
    for i, path in enumerate(("birds", "birds", "mice")):
        yaml = yaml_of(tmp_path / str(i), "own", PATH=path)
        assert command("ZeroshotCLIP", yaml, tmp_path / "data", output=f"out/{i}", shots=0).status == 0
        if i == 0:
            assert [run.dataset for run in gather(tmp_path / "out").runs] == ["own"]
    with pytest.raises(InputError, match=r"^2: its test images are not those of 0, though both are of 'own'; [^\n]*$"):
        gather(tmp_path / "out")


# An image is identified by where it is.


@pytest.mark.parametrize("form", ["relative", "absolute", "by a link"])
def test_a_table_may_name_images_anywhere_and_every_run_reads_the_same(tmp_path, form):
    """Same names in and outside of the folder, so that a path cut short would lead to another image."""
    above = {"relative": "../aside", "absolute": tmp_path / "aside", "by a link": "link/.."}[form]
    (tmp_path / "my_images/x").mkdir(parents=True)
    (tmp_path / "aside/deep").mkdir(parents=True)
    (tmp_path / "my_images/link").symlink_to(tmp_path / "aside/deep")
    lines, expected = ["path,label,split"], {"train": [], "val": [], "test": []}
    for i, part in enumerate(("train", "train", "train", "val", "test", "test")):
        for label in ("ant", "bee"):
            name = f"x/{label}{i}.png"
            picture(tmp_path / "aside" / name, i)
            picture(tmp_path / "my_images" / name, i)
            lines += [f"{above}/{name},{label},{part}"]
            expected[part].append(str(tmp_path / "aside" / name))
    write(tmp_path / "my_images/list.csv", "\n".join(lines))
    before = sorted(tmp_path.rglob("*.png"))
    options = {"FOLDER.CSV": "list.csv", "NUM_SHOTS": 2}
    one, two = (build("folder", tmp_path, **options) for _ in range(2))
    assert paths(one.train_x) == paths(two.train_x) and set(paths(one.train_x)) < set(expected["train"])
    assert paths(one.val) == sorted(expected["val"]) and paths(one.test) == sorted(expected["test"])
    pictures = []
    for corruption in ("inverse-5", "gaussian_noise-1"):
        corrupted = build("folder", tmp_path, CORRUPTION=corruption, **options)
        assert sorted(corrupted.originals.values()) == paths(one.test)
        pictures += paths(corrupted.test)
    added = {str(path) for path in tmp_path.rglob("*.png") if path not in before}
    assert added == set(pictures) and len(added) == 8
    assert all(path.startswith(str(tmp_path / "features/")) for path in added)


@pytest.mark.parametrize(
    "other", ["x.jpg", "./x.jpg", "sub/../x.jpg", "{folder}/x.jpg", "link.jpg", "link/x.jpg", "hard.jpg"]
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_an_image_that_is_listed_twice_is_refused_with_both_lines(tmp_path, other, part):
    folder = tmp_path / "my_images"
    for name in ("x.jpg", "y.jpg", "z.jpg", "sub/a.jpg"):
        picture(folder / name)
    (folder / "link").symlink_to(folder)
    (folder / "link.jpg").symlink_to("x.jpg")
    os.link(folder / "x.jpg", folder / "hard.jpg")
    other = other.format(folder=folder)
    lines = ["path,label,split", "y.jpg,a,train", "x.jpg,b,train", '"z.jpg","b",test', f"{other},b,{part}"]
    write(folder / "list.csv", "\n".join(lines))
    with pytest.raises(InputError, match=r"list\.csv: line 3 \(.*x\.jpg\) and line 5 .* name one image") as found:
        build("folder", tmp_path, **{"FOLDER.CSV": "list.csv"})
    assert other in str(found.value) and len(str(found.value).splitlines()) == 1


def test_names_that_are_no_text_are_kept_as_they_are(tmp_path):
    strange = os.fsdecode(b"caf\xe9\n\\.png")
    for label in ("ant", "bee"):
        for i in range(6):
            picture(tmp_path / "my_images" / label / f"{i}{strange}", i)
    one, two = (build("folder", tmp_path, NUM_SHOTS=2) for _ in range(2))
    assert paths(one.train_x) == paths(two.train_x) and all(strange in path for path in paths(two.train_x))


# What we write is never read as data.


def test_a_second_run_reads_what_the_first_read(tmp_path, command):
    class_folders(tmp_path / "data/birds", ("b", "a", "corrupted"), 8)  # a class that is called so
    yaml, before = yaml_of(tmp_path, "birds", PATH="birds"), sorted((tmp_path / "data").rglob("*.*g"))
    found = []
    for i in range(2):
        run = command("TipAdapter", yaml, tmp_path / "data", "DATASET.CORRUPTION", "inverse-3", output=f"out{i}")
        found.append([run.results[key] for key in ("data", "accuracy", "n_test")])
    assert (
        found[0] == found[1] and "'a photo of a corrupted.'" in run.log and "split" not in run.log.split("Prompts")[1]
    )
    assert sorted((tmp_path / "data").rglob("*.*g")) == before


@pytest.mark.parametrize("output", ["birds/out", "birds/a/out"])
@pytest.mark.parametrize("option", ["--output-dir", "IMO.STORE"])
def test_nothing_is_written_where_classes_are_read(tmp_path, command, option, output):
    class_folders(tmp_path / "data/birds", ("b", "a"), 8)
    yaml, before = yaml_of(tmp_path, "birds", PATH="birds"), sorted((tmp_path / "data").rglob("*"))
    place = tmp_path / "data" / output
    more = {"output": place} if option == "--output-dir" else {}
    words = () if more else ("IMO.STORE", place)
    run = command("TipAdapter", yaml, tmp_path / "data", *words, **more)
    assert run.status == 2 and run.err.startswith(f"error: {option}: {place} lies in {tmp_path}/data/birds/")
    assert sorted((tmp_path / "data").rglob("*")) == before


# Validation that is what it says.


@pytest.mark.parametrize("validation", ["full", "few"])
@pytest.mark.parametrize("count, shots", [(1, 1), (2, 2), (2, 16), (8, 8), (8, 16)])
def test_where_all_is_support_settings_are_chosen_on_it_and_results_say_so(tmp_path, command, count, shots, validation):
    for part, images in (("train", count), ("test", 2)):
        class_folders(tmp_path / "data/birds" / part, ("b", "a"), images)
    yaml = yaml_of(tmp_path, "birds", PATH="birds")
    run, support = (
        command("TipAdapter", yaml, tmp_path / "data", "DATASET.VALIDATION", option, output=option, shots=shots)
        for option in (validation, "support")
    )
    assert "none is held out for validation: settings are chosen on the support set" in run.log
    assert run.results["tuned_on"] == ("nothing (support, one shot)" if count == 1 else "support (leave-one-out)")
    for key in ("tuned_on", "hyper_parameters", "accuracy", "val_accuracy"):
        assert run.results[key] == support.results[key]
    assert "val" not in run.results["data"]


def test_no_epoch_is_chosen_on_support_images(tmp_path, command):
    for part in ("train", "test"):
        class_folders(tmp_path / "data/birds" / part, ("b", "a"), 2)
    yaml = yaml_of(tmp_path, "birds", PATH="birds")
    run = command("CoOp", yaml, tmp_path / "data", "TEST.FINAL_MODEL", "best_val")
    assert run.status == 2 and "TEST.FINAL_MODEL: best_val needs validation images" in run.err


@pytest.mark.parametrize("shots, held", [(4, {"b": 6}), (-1, {"b": 1, "a": 1}), (1, {"b": 9, "a": 3})])
def test_classes_without_an_image_to_spare_are_named(tmp_path, capsys, shots, held):
    for name, count in (("a", 4), ("b", 10), ("c", 1)):
        class_folders(tmp_path / "my_images/train", (name,), count)
        class_folders(tmp_path / "my_images/test", (name,), 1)
    dataset = build("folder", tmp_path, NUM_SHOTS=shots)
    assert Counter(item.classname for item in dataset.val) == held
    assert not set(paths(dataset.train_x)) & set(paths(dataset.val))
    assert {item.classname for item in dataset.train_x} == {"a", "b", "c"}
    lacking = ", ".join(name for name in "abc" if name not in held)
    assert f"none is held out for validation: {lacking}\n" in capsys.readouterr().out
    assert str(dataset.protocol) == "held-out train"
