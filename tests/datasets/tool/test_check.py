import runpy
import sys

import pytest
from building import ROOT, dataset_class
from layouts import FALLBACKS, split_layout, stanford_cars

from imo.datasets.base import Sizes


def test_a_complete_dataset_is_ready(tmp_path, cli, monkeypatch):
    kind = dataset_class("dtd")
    split_layout(tmp_path, kind, counts=(4, 3, 2))
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(kind, "sizes", Sizes(3, 12, 9, 6))
    expected = "ready    {}: 3 classes, 12 / 9 / 6 images, as published\n"
    for name in ("dtd", "DescribableTextures"):
        assert cli("check", name, "--root", tmp_path) == (0, expected.format(name), "")
    monkeypatch.setattr(kind, "sizes", Sizes(3, 12, 9, 7))
    status, out, _ = cli("check", "dtd", "--root", tmp_path)
    assert status == 1
    assert out == "DIFFERS  dtd: 3 classes, 12 / 9 / 6 images; published: 3 classes, 12 / 9 / 7 images\n"
    assert sorted(tmp_path.rglob("*")) == before  # it only looks


def test_counts_of_sets_without_some_part(layouts_root, cli, monkeypatch):
    monkeypatch.setattr(dataset_class("imagenet"), "sizes", Sizes(4, 56, None, 12))
    monkeypatch.setattr(dataset_class("imagenet_a"), "sizes", Sizes(2, None, None, 6))
    status, out, _ = cli("check", "imagenet", "imagenet_a", "--root", layouts_root)
    assert status == 0
    assert "imagenet: 4 classes, 56 / - / 12 images, as published" in out
    assert "imagenet_a: 2 classes, - / - / 6 images, as published" in out


def test_what_is_missing_is_listed_with_where_to_get_it(tmp_path, cli):
    stanford_cars(tmp_path)
    (tmp_path / "stanford_cars/cars_test_annos_withlabels.mat").unlink()
    (tmp_path / "stanford_cars/car_ims").mkdir()
    status, out, _ = cli("check", "StanfordCars", "--root", tmp_path)
    assert status == 1
    first, *more = out.splitlines()
    assert first.startswith("MISSING  StanfordCars: ") and "split_zhou_StanfordCars.json" in first
    assert any("car_ims/: numbers the images anew" in line for line in more)
    listed = {line.split(": ")[0].strip() for line in more if "http" in line}
    assert listed == {"split_zhou_StanfordCars.json", "cars_test_annos_withlabels.mat"}
    assert "https://drive.google.com/file/d/1ObCFbaAgVu0I-k_Au-gIUcefirdAuizT/view" in out


def test_a_computed_split_and_a_mirror_are_told(tmp_path, cli):
    FALLBACKS["caltech101"][0](tmp_path)
    folder = tmp_path / "caltech-101"
    (folder / "101_ObjectCategories").rename(tmp_path / "aside")
    (folder / "caltech-101").mkdir()
    (tmp_path / "aside").rename(folder / "caltech-101/101_ObjectCategories")
    _, out, _ = cli("check", "Caltech101", "--root", tmp_path)
    assert "split_zhou_Caltech101.json is missing: split computed" in out
    assert "101_ObjectCategories/ is here as caltech-101/101_ObjectCategories/, accepted" in out


def test_every_published_dataset_is_looked_for(tmp_path, cli):
    status, out, _ = cli("check", "--root", tmp_path)
    assert status == 1
    names = [line.split()[1].rstrip(":") for line in out.splitlines() if line.startswith("MISSING")]
    yamls = {path.stem for path in (ROOT / "configs/datasets").glob("*.yaml")}
    demo = {"digits", "colored_digits", "mnist5k", "colored_mnist", "glyphs", "folder"}
    assert sorted(names) == sorted(dataset_class(name).__name__ for name in yamls - demo)
    for line in out.splitlines():
        assert "http" in line, line  # every line says where
    assert list(tmp_path.iterdir()) == []
    status, out, _ = cli("check", "Digits", "--root", tmp_path)
    assert (status, out) == (1, "absent   Digits: is made on first use, or by 'prepare Digits'\n")


@pytest.mark.parametrize("argv", [("check", "Nonesuch"), ("prepare", "Nonesuch"), ("check", "--root", "/no/such")])
def test_bad_arguments_are_one_line(tmp_path, cli, argv):
    status, _, err = cli(*argv, *(() if "--root" in argv else ("--root", tmp_path)))
    assert status == 2
    assert err.startswith("error: ") and len(err.splitlines()) == 1
    assert ("OxfordPets" in err) == ("Nonesuch" in argv)


def test_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["imo.datasets", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("imo.datasets", run_name="__main__")
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("check", "prepare", "document"))
