"""Folders as people have them: what is read, what is refused, what is left out and said."""

import os
import re

import pytest
from PIL import Image

from imo.datasets.base.folder_tree import class_folders, class_folders_of_parts
from imo.errors import InputError


@pytest.fixture
def tree(tmp_path):
    """tree(*paths): a folder with an image under each path."""

    def make(*paths):
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (2, 2)).save(tmp_path / path, "PNG")
        return str(tmp_path)

    return make


def under(*folders, names=("cat", "dog")):
    return [f"{folder}/{name}/{i}.jpg".lstrip("/") for folder in folders for name in names for i in range(2)]


@pytest.mark.parametrize(
    "folders",
    [
        {"train": "train", "val": "val", "test": "test"},
        {"train": "Train", "val": "valid", "test": "TEST"},
        {"train": "TRAINING", "val": "Validation", "test": "Testing"},
        {"train": "training", "test": "testing"},
        {"train": "train", "val": "valid"},
        {"train": "seg_train", "test": "seg_test"},
        {"train": "training_set", "val": "val_set", "test": "test_set"},
        {"train": "train2017", "val": "val2017"},
        {"train": "cars_train", "test": "test"},
        {"train": "train", "test": "test1"},
    ],
)
def test_parts_are_told_by_their_names(folders, tree):
    assert class_folders_of_parts(tree(*under(*folders.values()))) == {
        part: {name: [f"{folder}/{name}/{i}.jpg" for i in range(2)] for name in ("cat", "dog")}
        for part, folder in folders.items()
    }


def test_plain_names_come_before_names_with_a_word(tree, capsys):
    found = class_folders_of_parts(tree(*under("train", "test", "train_extra")))
    assert found["train"]["cat"] == ["train/cat/0.jpg", "train/cat/1.jpg"]
    assert "images beside train, test 4 (train_extra/cat/0.jpg)" in capsys.readouterr().out


@pytest.mark.parametrize("wrap", ["images", "images/Images", "EuroSAT/2750", "fgvc-aircraft-2013b/data/images"])
@pytest.mark.parametrize("parts", [("",), ("train", "test"), ("train/train", "test/test"), ("train", "val", "test")])
def test_a_folder_around_all_others_is_passed_through_and_said(wrap, parts, tree, capsys):
    root = tree(*under(*(f"{wrap}/{part}" for part in parts)), "logo.png")
    found = class_folders_of_parts(root)
    assert list(found) == [part.split("/")[0] for part in parts]
    for part in parts:
        prefix = f"{wrap}/{part}".rstrip("/")
        assert found[part.split("/")[0]]["dog"] == [f"{prefix}/dog/0.jpg", f"{prefix}/dog/1.jpg"]
    said = capsys.readouterr().out
    outer, _, inner = f"{root}/{wrap}".rpartition("/")
    assert f"{outer}/: reading {inner}/, the only folder with images" in said.replace(f"{root}:", f"{root}/:")
    assert "images outside class folders 1 (logo.png)" in said


@pytest.mark.parametrize(
    "paths, words",
    [
        (["train/0.jpg", "train/1.jpg", "val/0.jpg"], "train/: 2 images, but no class folders"),
        ([*under("train"), "test1/0.jpg", "test/5.jpg"], "test/: 1 images, but no class folders"),
        (under("val", "test"), "found test/, val/, which would be read as classes; expected train/ and test/"),
        (under("train", "extra"), "found extra/, train/, which would be read as classes"),
        (under("train", "val", "validation"), "two mean the same part"),
        (under("train", "Train", "test"), "two mean the same part"),
        (under("seg_train", "my_train", "seg_test"), "two mean the same part"),
        (
            ["cat/train/0.jpg", "cat/test/1.jpg", "dog/train/2.jpg", "dog/test/3.jpg"],
            "found test/, train/ in the class",
        ),
    ],
)
def test_what_is_no_split_is_refused_by_naming_it(paths, words, tree):
    root = tree(*paths)
    with pytest.raises(InputError, match=rf"^{re.escape(root)}[^\n]*{re.escape(words)}[^\n]*$"):
        class_folders_of_parts(root)


@pytest.mark.parametrize(
    "vehicles", [("bus", "car", "train"), ("test tube", "train station"), ("bullet train", "test")]
)
def test_a_class_may_be_called_as_a_part(vehicles, tree):
    root = tree(*under("", names=vehicles))
    assert list(class_folders_of_parts(root)[""]) == sorted(vehicles)


def test_other_folders_beside_the_parts_are_said(tree, capsys):
    found = class_folders_of_parts(tree(*under("train", "test", "unlabelled")))
    assert list(found) == ["train", "test"]
    assert "images beside train, test 4 (unlabelled/cat/0.jpg)" in capsys.readouterr().out


def test_one_folder_with_images_is_one_class(tree):
    assert class_folders_of_parts(tree("images/cat/0.jpg", "images/cat/1.jpg")) == {
        "": {"cat": ["images/cat/0.jpg", "images/cat/1.jpg"]}
    }


def test_what_is_left_out_is_counted_and_said_once(tree, tmp_path, capsys):
    root = tree("cat/a.jpg", "cat/sub/b", "dog/c.photo", "dog/.d.jpg", "dog/.ipynb_checkpoints/c-copy.jpg", "e.png")
    for name, content in (
        ("cat/notes.txt", b"x"), ("dog/paper.pdf", b"%PDF-1.4"), ("dog/x.h5", b"\x89HDF\r\n\x1a\n"), ("list.csv", b"a"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    (tmp_path / "lost").mkdir()
    (tmp_path / "split_fewshot").mkdir()
    (tmp_path / "split_fewshot/shot_1-seed_1-full.json").write_text("{}")
    assert class_folders(root) == {"cat": ["cat/a.jpg", "cat/sub/b"], "dog": ["dog/c.photo"]}
    assert capsys.readouterr().out == (
        f"Left out of {root}, with an example of each: files that are no images 4 (cat/notes.txt), "
        f"hidden files 2 (dog/.d.jpg), folders without images 1 (lost), images outside class folders 1 (e.png)\n"
    )


def test_nothing_is_said_of_a_folder_that_is_read_whole(tree, capsys):
    class_folders_of_parts(tree(*under("train", "test")))
    assert capsys.readouterr().out == ""


def test_links_are_followed_without_a_loop(tree, tmp_path, capsys):
    root = tree("root/cat/a.jpg", "root/dog/b.jpg", "disk/c.jpg", "disk/deep/d.jpg", "one.jpg") + "/root"
    for link, target in (
        ("cat/more", "../../disk"), ("bird", "../disk/deep"), ("cat/up", ".."), ("dog/self", "."),
        ("dog/around", "../.."), ("dog/other", "../cat"), ("dog/link.jpg", "../../one.jpg"),
    ):  # fmt: skip
        os.symlink(target, f"{root}/{link}")
    os.symlink("../root/dog", tmp_path / "disk/back")  # cat/more/back/other/more leads on and on
    found = class_folders(root)
    assert found["bird"] == ["bird/d.jpg"]
    assert {"cat/a.jpg", "cat/more/c.jpg", "cat/more/deep/d.jpg"} <= {*found["cat"]}
    assert {"dog/b.jpg", "dog/link.jpg", "dog/other/a.jpg"} <= {*found["dog"]}
    assert sum(map(len, found.values())) < 30
    assert "links to folders around them 8 (cat/more/back/around)" in capsys.readouterr().out


def test_many_folders_are_read_in_their_order(tree):
    root = tree("a b/1.jpg", "a/2.jpg", "a/1.jpg", "a/x/1.jpg", "a-b/1.jpg")
    assert list(class_folders(root).items()) == [
        ("a", ["a/1.jpg", "a/2.jpg", "a/x/1.jpg"]), ("a b", ["a b/1.jpg"]), ("a-b", ["a-b/1.jpg"]),
    ]  # fmt: skip
