import json

import pytest
from building import Small, build, config, dataset_class, refused
from layouts import FALLBACKS, WITH_SPLIT, split_layout, write

import imo


@pytest.mark.parametrize(
    "option, value", [("SUBSAMPLE_CLASSES", "old"), ("VALIDATION", "some"), ("CORRUPTION", "rain-3")]
)
def test_an_unknown_option_is_answered_with_the_known_ones(small, option, value):
    with pytest.raises(imo.InputError, match=rf"DATASET\.{option}: expected .*'{value}'"):
        Small(config(small, **{option: value}))


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(imo.InputError, match="nowhere"):
        Small(config(tmp_path / "nowhere"))


GOOD = ["train/0.png", 0, "class0"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"train": []}',
        json.dumps({"train": [GOOD[:2]], "val": [], "test": [GOOD]}),
        json.dumps({"train": [["train/0.png", "zero", "class0"]], "val": [], "test": [GOOD]}),
        json.dumps({"train": [], "val": [], "test": []}),
        json.dumps({"train": [GOOD], "val": [], "test": []}),
        json.dumps({"train": [["train/0.png", 1, "class1"]], "val": [], "test": [["train/0.png", 1, "class1"]]}),
        json.dumps({"train": [GOOD], "val": [], "test": [["train/0.png", 1, "class1"]]}),
        json.dumps({"train": [GOOD], "val": [["train/0.png", -1, "class0"]], "test": [GOOD]}),
    ],
    ids=[
        "no JSON", "a list", "parts lacking", "no class name", "label no number", "nothing", "no test", "label gap",
        "class without training", "negative label",
    ],
)  # fmt: skip
def test_a_broken_split_is_named(small, content):
    path = small / "small" / "split.json"
    path.write_text(content)
    with pytest.raises(imo.InputError, match=r"split\.json"):
        Small(config(small))


def other_hand(small, change, **kwargs):
    """Small, with its split file changed and written again."""
    path = small / "small/split.json"
    split = change(json.loads(path.read_text()))
    path.write_text(json.dumps(split, ensure_ascii=False), **{"encoding": "utf-8", **kwargs})
    dataset = Small(config(small))
    return {part: [(i.impath, i.label, i.classname) for i in getattr(dataset, part)] for part in ("train_x", "test")}


def rows_changed(change):
    return lambda split: {part: [change(*row) for row in rows] for part, rows in split.items()}


@pytest.mark.parametrize(
    "change",
    [
        rows_changed(lambda path, label, name: [path.replace("/", "\\"), label, name]),
        rows_changed(lambda path, label, name: [f".\\{path}", label, name]),
        rows_changed(lambda path, label, name: [path, label + 1, name]),
        rows_changed(lambda path, label, name: [path, label * 10 - 5, name]),
        rows_changed(lambda path, label, name: [path, str(label), name]),
        lambda split: {"Train": split["train"], "valid": split["val"], "TEST": split["test"]},
        lambda split: {"training": split["train"], "validation": split["val"], "testing": split["test"]},
        lambda split: {**split, "classes": ["class0", "class1"]},
    ],
    ids=["backslashes", "dot", "from 1", "gaps", "text", "names", "long names", "more"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_split_files_of_other_hands(small, change, encoding):
    usual = other_hand(small, lambda split: split)
    assert other_hand(small, change, encoding=encoding) == usual


def test_a_split_file_without_validation_has_none(small):
    other_hand(small, lambda split: {part: split[part] for part in ("train", "test")})
    assert not Small(config(small)).val


def test_backslashes_do_not_lead_out(small):
    (small / "aside").mkdir()
    (small / "small/images/test/0.png").rename(small / "aside/x.png")
    renamed(small, "test/0.png", "..\\..\\aside\\x.png")
    with pytest.raises(imo.InputError, match="leads out of"):
        Small(config(small))


def test_a_backslash_that_is_in_a_name_stays(small):
    (small / "small/images/test/0.png").rename(small / "small/images/test\\0.png")
    renamed(small, "test/0.png", "test\\0.png")
    assert Small(config(small)).test[0].impath == str(small / "small/images/test\\0.png")


def named(**names):
    """A change of class names; keys are the usual ones."""
    return rows_changed(lambda path, label, name: [path, label, names.get(name, name)])


def test_spellings_of_one_class_are_one(small):
    def change(split):
        split["test"][0][2] = " Class0 "
        return split

    assert {name for _, label, name in other_hand(small, change)["test"] if label == 0} == {"class0"}


@pytest.mark.parametrize(
    "change, words",
    [
        (named(class0="Apple", class1="apple"), "are two classes, but CLIP reads the names alike"),
        (named(class0=" A", class1="A"), "' A'"),
        (named(class0="great_tit", class1="great tit"), "'great_tit'"),
        (named(class0="caf\u00e9", class1="cafe\u0301"), "two classes"),
        (named(class0=" "), "the class of label 0 has no name"),
        (lambda split: {**split, "test": [*split["test"], ["test/0.png", 7, "wolf"]]}, "no training images of 'wolf'"),
        (lambda split: {**split, "test": [["test/0.png", 0, "wolf"]]}, "'class0', 'wolf' have the same label, 0"),
        (rows_changed(lambda path, label, name: [path, 0, "all"]), "expected two classes or more, got 'all' alone"),
    ],
)
def test_classes_that_cannot_be_told_apart_are_named(small, change, words):
    with pytest.raises(imo.InputError, match=r"^[^\n]*split\.json: [^\n]*$") as found:
        other_hand(small, change)
    assert words in str(found.value)


def test_two_classes_of_one_name_are_two(small):
    """ImageNet has such."""
    other_hand(small, named(class1="class0"))
    assert Small(config(small)).num_classes == 4


def test_missing_files_are_named(small):
    for number in (3, 5):
        (small / "small" / "images" / "train" / f"{number}.png").unlink()
    with pytest.raises(imo.InputError, match=r"train/3\.png.* and 1 more"):
        Small(config(small))
    (small / "small" / "split.json").unlink()
    with pytest.raises(imo.InputError, match=r"split\.json"):
        Small(config(small))


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


# Paths that lead out of the dataset's folder.


def renamed(small, old, new):
    """The split file with another path for an image."""
    path = small / "small/split.json"
    path.write_text(path.read_text().replace(json.dumps(old), json.dumps(str(new))))


@pytest.mark.parametrize(
    "name",
    ["../../aside/x.png", "test/../../../aside/x.png", "../../small/../aside/x.png", "{root}/aside/x.png", "/", ".."],
)
def test_a_path_that_leads_out_is_refused(small, name):
    (small / "aside").mkdir()
    (small / "small/images/test/0.png").rename(small / "aside/x.png")
    renamed(small, "test/0.png", name.format(root=small))
    with pytest.raises(imo.InputError, match=r"^[^\n]*small/split\.json: '[^\n]* leads out of [^\n]*$") as found:
        Small(config(small, CORRUPTION="inverse-1"))
    assert repr(name.format(root=small)) in str(found.value)
    assert {path.name for path in small.iterdir()} == {"aside", "small"}


def test_a_folder_whose_name_begins_alike_is_another(small):
    (small / "small_too").mkdir()
    (small / "small/images/test/0.png").rename(small / "small_too/x.png")
    renamed(small, "test/0.png", "../../small_too/x.png")
    with pytest.raises(imo.InputError, match="leads out of"):
        Small(config(small))


@pytest.mark.parametrize("name", ["../more/x.png", "train/../../more/./x.png", "{root}/small/more/x.png"])
def test_a_path_inside_the_folder_is_good_in_any_form(small, name):
    (small / "small/more").mkdir()
    (small / "small/images/test/0.png").rename(small / "small/more/x.png")
    renamed(small, "test/0.png", name.format(root=small))
    assert Small(config(small)).test[0].impath == str(small / "small/more/x.png")


def test_the_owner_s_links_are_followed(small):
    (small / "small").rename(small / "disk")
    (small / "small").symlink_to("disk")
    (small / "disk/images/test").rename(small / "elsewhere")
    (small / "disk/images/test").symlink_to(small / "elsewhere")
    assert len(Small(config(small)).test) == 4
    renamed(small, "test/0.png", "test/../elsewhere/0.png")  # in this folder, not beside what the link leads to
    with pytest.raises(imo.InputError, match=r"images/elsewhere/0\.png: image named in .* is missing"):
        Small(config(small))


# Images that are named twice.


@pytest.mark.parametrize("again", ["train/1.png", "test/../train/1.png", "train/same.png"])
def test_a_split_of_one_s_own_names_each_image_once(small, again):
    (small / "small/images/train/same.png").symlink_to("1.png")
    renamed(small, "test/2.png", again)
    refused_twice = r"^[^\n]*split\.json: train\[1\] \(.*\) and test\[2\] \(.*\) name one image; keep one of them$"
    with pytest.raises(imo.InputError, match=refused_twice):
        Small(config(small))


def test_a_published_split_is_kept_as_it_is(dtd_root):
    path = dtd_root / "dtd" / dataset_class("dtd").split_file
    split = json.loads(path.read_text())
    name, label, _ = split["train"][0]
    split["train"] += [split["train"][0], [name, label + 1, split["train"][4][2]]]
    split["test"].append(split["train"][0])
    write(path, split)
    one, two = (build("dtd", dtd_root, NUM_SHOTS=5) for _ in range(2))
    assert [item.impath for item in one.train_x] == [item.impath for item in two.train_x]
    assert len(one.train_x) == 14 and len(one.test) == 7
