"""Few-shot subsets on disk: ours, and CoOp's pickles."""

import json
import os
import pickle
import random
from pathlib import Path

import pytest
import upstream_subsets
from building import below, build, dataset_class
from dassl.data.datasets import Datum
from layouts import class_folders, imagenet, split_layout, write

from imo.datasets.dtd import DescribableTextures
from imo.errors import InputError

FACTS = json.loads(Path(__file__).with_name("upstream_subsets.json").read_text())


def names(items, root):
    return below(items, root / "dtd/images")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The split whose subsets were recorded, as the dataset dtd; tests write in it only subsets."""
    root = tmp_path_factory.mktemp("recorded")
    split = upstream_subsets.split()
    for entries in split.values():
        for name, _, _ in entries:
            (root / "dtd/images" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "dtd/images" / name).touch()
    write(root / "dtd/split_zhou_DescribableTextures.json", split)
    return root


@pytest.mark.parametrize("key", FACTS)
def test_subsets_are_upstream_s(key, recorded):
    """Twice: as drawn, and as kept. The recorded numbers come from Dassl's own source (see upstream_subsets.py)."""
    shots, seed = map(int, key.split("-"))
    for _ in range(2):
        dataset = build("dtd", recorded, NUM_SHOTS=shots, SEED=seed, VALIDATION="few")
        assert names(dataset.train_x, recorded) == FACTS[key]["train"]
        assert names(dataset.val, recorded) == FACTS[key]["val"]
    assert names(build("dtd", recorded, NUM_SHOTS=shots, SEED=seed).train_x, recorded) == FACTS[key]["train"]


def test_classes_with_few_images_are_taken_whole(recorded):
    dataset = build("dtd", recorded, NUM_SHOTS=16, SEED=1)
    counts = [sum(item.label == label for item in dataset.train_x) for label in range(6)]
    assert counts == [min(count, 16) for count in upstream_subsets.COUNTS]


# Ours.


def test_a_subset_is_kept_with_relative_paths_under_the_protocol_s_name(dtd_root):
    dataset = build("dtd", dtd_root, NUM_SHOTS=2, VALIDATION="few")
    (path,) = (dtd_root / "dtd/split_fewshot").iterdir()
    assert path.name == "shot_2-seed_1-few.json"
    content = json.loads(path.read_text())
    assert [entry[0] for entry in content["train"]] == names(dataset.train_x, dtd_root)
    assert [entry[0] for entry in content["val"]] == names(dataset.val, dtd_root)
    assert str(dtd_root) not in path.read_text()
    build("dtd", dtd_root, NUM_SHOTS=2)
    build("dtd", dtd_root, NUM_SHOTS=2, SEED=2)
    assert {p.name for p in path.parent.iterdir()} == {path.name, "shot_2-seed_1-full.json", "shot_2-seed_2-full.json"}


def test_a_kept_subset_is_used(dtd_root, capsys):
    build("dtd", dtd_root, NUM_SHOTS=2)
    path = dtd_root / "dtd/split_fewshot/shot_2-seed_1-full.json"
    content = json.loads(path.read_text())
    split = json.loads((dtd_root / "dtd" / DescribableTextures.split_file).read_text())
    other = [entry for entry in split["train"] if entry not in content["train"]]  # the other two of each class
    content["train"] = other
    path.write_text(json.dumps(content))
    dataset = build("dtd", dtd_root, NUM_SHOTS=2)
    assert names(dataset.train_x, dtd_root) == [entry[0] for entry in content["train"]]
    assert f"Loading few-shot subset from {path}" in capsys.readouterr().out


def of_test(content, split):
    content["train"] = split["test"]


def one_of_test(content, split):
    content["train"][0] = split["test"][0]


def one_of_val(content, split):
    content["train"][-1] = split["val"][-1]


def one_lacks(content, split):
    del content["train"][3]


def one_twice(content, split):
    content["train"][0] = content["train"][1]


def one_more(content, split):
    content["train"].append(next(entry for entry in split["train"] if entry not in content["train"]))


def a_class_lacks(content, split):
    content["train"] = [entry for entry in content["train"] if entry[1] != 2]


def another_class(content, split):
    content["train"][0] = next(e for e in split["train"] if e[1] == 2 and e not in content["train"])


def tuned_on_test(content, split):
    content["val"] = split["test"]


def tuned_on_support(content, split):
    content["val"] = content["train"]


def tuned_on_less(content, split):
    del content["val"][0]


@pytest.mark.parametrize("validation", ["full", "few"])
@pytest.mark.parametrize(
    "change",
    [of_test, one_of_test, one_of_val, one_lacks, one_twice, one_more, a_class_lacks, another_class, tuned_on_test,
     tuned_on_support, tuned_on_less],
)  # fmt: skip
def test_a_subset_that_is_not_what_its_name_says_is_drawn_again(dtd_root, capsys, change, validation):
    drawn = build("dtd", dtd_root, NUM_SHOTS=2, VALIDATION=validation)
    path = dtd_root / f"dtd/split_fewshot/shot_2-seed_1-{validation}.json"
    before = path.read_text()
    content = json.loads(before)
    change(content, json.loads((dtd_root / "dtd" / DescribableTextures.split_file).read_text()))
    path.write_text(json.dumps(content))
    again = build("dtd", dtd_root, NUM_SHOTS=2, VALIDATION=validation)
    assert f"Warning: {path} is not what its name says (" in capsys.readouterr().out
    assert [names(part, dtd_root) for part in (again.train_x, again.val)] == [
        names(part, dtd_root) for part in (drawn.train_x, drawn.val)
    ]
    assert path.read_text() == before


@pytest.mark.parametrize("validation", ["full", "few", "paper", "support"])
@pytest.mark.parametrize("shots", [1, 2, 16])
@pytest.mark.parametrize("yaml", ["dtd", "imagenet", "folder"])
def test_what_was_kept_is_used_for_every_protocol(yaml, tmp_path, capsys, shots, validation):
    if yaml == "imagenet":
        imagenet(tmp_path)
    elif yaml == "dtd":
        split_layout(tmp_path, dataset_class("dtd"), counts=(4, 3, 2))
    else:
        for part, count in (("train", 12), ("test", 2)):
            class_folders(tmp_path / "my_images" / part, ("b", "a"), count)
    one, two = (build(yaml, tmp_path, NUM_SHOTS=shots, VALIDATION=validation) for _ in range(2))
    said = capsys.readouterr().out
    assert said.count("Loading few-shot subset from") == 1 and "Warning" not in said
    for part in ("train_x", "val"):
        assert [item.impath for item in getattr(one, part)] == [item.impath for item in getattr(two, part)]


def test_a_subset_of_another_split_is_drawn_again(dtd_root, capsys):
    build("dtd", dtd_root, NUM_SHOTS=2)
    path = dtd_root / "dtd" / DescribableTextures.split_file
    split = json.loads(path.read_text())
    split["train"].reverse()
    path.write_text(json.dumps(split))
    dataset = build("dtd", dtd_root, NUM_SHOTS=2)
    assert "belongs to another split; drawn again" in capsys.readouterr().out
    generator = random.Random(1)
    groups = [split["train"][i : i + 4] for i in (0, 4, 8)]
    assert names(dataset.train_x, dtd_root) == [entry[0] for group in groups for entry in generator.sample(group, 2)]
    build("dtd", dtd_root, NUM_SHOTS=2)
    assert "Loading few-shot subset" in capsys.readouterr().out


@pytest.mark.parametrize("change", [lambda c: c.pop("val"), lambda c: c["train"][0].__setitem__(0, "no/such.jpg")])
def test_a_broken_subset_is_named(dtd_root, change):
    build("dtd", dtd_root, NUM_SHOTS=2)
    path = dtd_root / "dtd/split_fewshot/shot_2-seed_1-full.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"shot_2-seed_1-full\.json: broken few-shot subset.*delete it"):
        build("dtd", dtd_root, NUM_SHOTS=2)


def test_where_nothing_can_be_kept_the_subset_is_drawn_each_time(dtd_root):
    (dtd_root / "dtd/split_fewshot").touch()  # a file: no folder can be made, not even by root
    one, two = (names(build("dtd", dtd_root, NUM_SHOTS=2).train_x, dtd_root) for _ in range(2))
    assert one == two


def test_a_subset_is_not_kept_through_a_link_but_read(dtd_root):
    (dtd_root / "aside").mkdir()
    link = dtd_root / "dtd/split_fewshot"
    link.symlink_to(dtd_root / "aside")
    with pytest.raises(InputError, match=rf"^{link}: a link to"):
        build("dtd", dtd_root, NUM_SHOTS=2)
    assert list((dtd_root / "aside").iterdir()) == []
    link.unlink()
    build("dtd", dtd_root, NUM_SHOTS=2)
    link.rename(dtd_root / "theirs")
    link.symlink_to(dtd_root / "theirs")
    assert len(build("dtd", dtd_root, NUM_SHOTS=2).train_x) == 6


def test_without_a_seed_nothing_is_kept(dtd_root):
    build("dtd", dtd_root, NUM_SHOTS=2, SEED=-1)
    assert not (dtd_root / "dtd/split_fewshot").exists()


# CoOp's.


def pickled(dtd_root, content, shots=2, seed=1, dataset="dtd"):
    path = dtd_root / dataset / f"split_fewshot/shot_{shots}-seed_{seed}.pkl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
    return path


def elsewhere(items, protocol=pickle.HIGHEST_PROTOCOL, root="/home/someone/data/"):
    """Datums as another machine wrote them."""
    out = []
    for name, label, classname in items:
        datum = Datum.__new__(Datum)
        vars(datum).update(_impath=root + name, _label=label, _domain=0, _classname=classname)
        out.append(datum)
    return out


@pytest.fixture
def chosen(dtd_root):
    """{part: entries} that no generator drew: the last two of each class."""
    split = json.loads((dtd_root / "dtd" / DescribableTextures.split_file).read_text())
    return {
        part: [e for label in range(3) for e in [e for e in split[part] if e[1] == label][-2:]]
        for part in ("train", "val")
    }


@pytest.mark.parametrize("root", ["/home/someone/data/dtd/images/", "C:\\data\\dtd\\images\\", "dtd/images/"])
def test_coop_s_pickle_decides(dtd_root, chosen, root):
    pickled(dtd_root, {part: elsewhere(entries, root=root) for part, entries in chosen.items()})
    few, full = (build("dtd", dtd_root, NUM_SHOTS=2, VALIDATION=option) for option in ("few", "full"))
    assert names(few.train_x, dtd_root) == names(full.train_x, dtd_root) == [entry[0] for entry in chosen["train"]]
    assert names(few.val, dtd_root) == [entry[0] for entry in chosen["val"]]
    assert len(full.val) == 9
    assert [item.label for item in few.train_x] == [0, 0, 1, 1, 2, 2]


def test_a_pickle_of_an_image_that_is_not_in_training_is_refused(dtd_root, chosen):
    """Else a split that CoOp computed itself could bring test images into the support set."""
    split = json.loads((dtd_root / "dtd" / DescribableTextures.split_file).read_text())
    path = pickled(dtd_root, {"train": elsewhere([*chosen["train"], split["test"][0]]), "val": []})
    with pytest.raises(InputError, match=rf"{path}: .*{split['test'][0][0].split('(')[0]}.* not in this split"):
        build("dtd", dtd_root, NUM_SHOTS=2)
    name, label, classname = chosen["train"][0]
    pickled(dtd_root, {"train": elsewhere([[name, label + 1, classname]]), "val": []})
    with pytest.raises(InputError, match="not in this split"):
        build("dtd", dtd_root, NUM_SHOTS=2)


@pytest.mark.parametrize("change", [one_lacks, one_twice, one_more, a_class_lacks, another_class, tuned_on_less])
def test_a_pickle_that_is_not_what_its_name_says_is_refused(dtd_root, chosen, change):
    change(chosen, json.loads((dtd_root / "dtd" / DescribableTextures.split_file).read_text()))
    path = pickled(dtd_root, {part: elsewhere(entries) for part, entries in chosen.items()})
    with pytest.raises(InputError, match=rf"{path}: not what its name says \(.*delete it"):
        build("dtd", dtd_root, NUM_SHOTS=2, VALIDATION="few")
    if change is tuned_on_less:  # its validation images are not used
        assert len(build("dtd", dtd_root, NUM_SHOTS=2).val) == 9


class Bomb:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "function, args, word",
    [
        (os.mkdir, ("fuse",), r"\w+\.mkdir"),
        (eval, ("__import__('os').mkdir('fuse')",), r"\w+\.eval"),
        (Path, ("fuse",), "pathlib"),
        (getattr, (Datum, "__init__"), r"\w+\.getattr"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_code_in_a_pickle_is_refused_by_name(dtd_root, chosen, monkeypatch, function, args, word, protocol):
    monkeypatch.chdir(dtd_root)
    content = {"train": [*elsewhere(chosen["train"]), Bomb(function, *args)], "val": []}
    path = pickled(dtd_root, pickle.dumps(content, protocol))
    with pytest.raises(InputError, match=rf"{path}: refused, for it holds {word}"):
        build("dtd", dtd_root, NUM_SHOTS=2)
    assert not (dtd_root / "fuse").exists()


def test_a_cut_or_foreign_pickle_is_named(dtd_root, chosen):
    whole = pickle.dumps({"train": elsewhere(chosen["train"]), "val": []})
    foreign = [pickle.dumps(["train"]), pickle.dumps({"train": [1, 2]}), pickle.dumps({"train": elsewhere([])[:0]})]
    for content in (b"", whole[:40], whole[:-30], *foreign[:2]):
        path = pickled(dtd_root, content)
        with pytest.raises(InputError, match=rf"{path}: broken few-shot pickle.*delete it"):
            build("dtd", dtd_root, NUM_SHOTS=2)
