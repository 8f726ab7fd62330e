import json
import os
import shutil
from pathlib import Path

import pytest
from building import build, refused
from layouts import WNIDS, imagenet, picture, variant


def test_imagenet_s_folders(tmp_path):
    imagenet(tmp_path)
    images = tmp_path / "imagenet/images"
    shutil.move(str(images / "val/n01440764"), str(tmp_path / "aside"))
    refused("imagenet", tmp_path, images, "n01440764 is not both in train and in val")
    shutil.rmtree(images / "val")
    (images / "val").mkdir()
    (images / "val/ILSVRC2012_val_00000001.JPEG").touch()
    refused("imagenet", tmp_path, images / "val", "no class folders", "valprep.sh")
    shutil.rmtree(images / "val")
    refused("imagenet", tmp_path, images / "val", "missing", "image-net.org")


def test_a_class_folder_that_classnames_lacks_is_named(tmp_path):
    variant(tmp_path / "imagenet-adversarial/imagenet-a", ("n01443537", "n09999999"))
    refused("imagenet_a", tmp_path, "imagenet-a/n09999999", "classnames.txt")


def test_imagenet_s_classnames_serve_its_variants(tmp_path):
    variant(tmp_path / "imagenet-adversarial/imagenet-a", ("n01443537",))
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet-adversarial/classnames.txt").rename(tmp_path / "imagenet/classnames.txt")
    assert build("imagenet_a", tmp_path).classnames == ["goldfish"]


def test_the_scan_is_kept_and_mended(net, monkeypatch):
    before = [item.impath for item in build("imagenet", net).train_x]
    kept = json.loads((net / "imagenet/scan.json").read_text())
    assert set(kept) == {f"images/{part}/{wnid}" for part in ("train", "val") for wnid in WNIDS}
    listed = []
    monkeypatch.setattr(os, "listdir", lambda path, real=os.listdir: listed.append(str(path)) or real(path))
    assert [item.impath for item in build("imagenet", net).train_x] == before
    assert listed == []
    picture(net / "imagenet/images/train/n01443537/new.JPEG")
    (net / "imagenet/images/val/n01440764/notes.txt").touch()
    after = build("imagenet", net, VALIDATION="paper")
    assert sum("new.JPEG" in item.impath for item in after.train_x) == 1
    assert sorted(Path(path).name for path in listed) == ["n01440764", "n01443537"]


def test_a_scan_that_names_files_elsewhere_is_made_again(net):
    before = [item.impath for item in build("imagenet", net).train_x]
    path = net / "imagenet/scan.json"
    kept = json.loads(path.read_text())
    files = kept["images/train/n01440764"]["files"]
    files[0] = f"../n01443537/{files[0]}"
    path.write_text(json.dumps(kept))
    assert [item.impath for item in build("imagenet", net).train_x] == before


@pytest.mark.parametrize("content", ["{", "[]", '{"images/train/n01440764": 3}'])
def test_a_broken_scan_is_made_again(net, content):
    before = [item.impath for item in build("imagenet", net).train_x]
    (net / "imagenet/scan.json").write_text(content)
    assert [item.impath for item in build("imagenet", net).train_x] == before
    assert len(json.loads((net / "imagenet/scan.json").read_text())) == 8


def test_base_and_new_classes_keep_their_ids(net):
    new = build("imagenet", net, NUM_SHOTS=1, SUBSAMPLE_CLASSES="new")
    assert new.classnames == ["great white shark", "ostrich"]
    assert new.class_ids == [1484850, 1518878]
