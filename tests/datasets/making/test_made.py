import os

import numpy as np
import pytest
from building import config

import imo
from imo.datasets.making import made
from imo.errors import explain
from imo.files import drop_leftovers


class Tiny(made.MadeDataset):
    """A black and a white picture in each part."""

    dataset_dir = "tiny"

    def pictures(self):
        for part in ("train", "val", "test"):
            for label, name in enumerate(("black", "white")):
                yield part, f"{part}_{name}.png", np.full((8, 8), 255 * label, np.uint8), label, name


def test_a_made_dataset_is_not_made_again(tmp_path, monkeypatch):
    assert len(Tiny(config(tmp_path)).train_x) == 2
    monkeypatch.setattr(Tiny, "pictures", None)
    assert len(Tiny(config(tmp_path)).test) == 2


def test_a_half_made_dataset_leaves_nothing(tmp_path, monkeypatch):
    def fail(image, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", fail)
    with pytest.raises(OSError, match="No space"):
        Tiny(config(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_whose_package_is_missing_names_the_remedy(tmp_path, monkeypatch):
    def pictures(self):
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    monkeypatch.setattr(Tiny, "pictures", pictures)
    with pytest.raises(imo.InputError, match=r"sklearn.*pip install -e '\.\[demo\]'"):
        Tiny(config(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_nowhere_is_not_filled(tmp_path):
    (tmp_path / "tiny").symlink_to(tmp_path / "unmounted")
    with pytest.raises(imo.InputError, match=rf"^{tmp_path}/tiny: a link to {tmp_path}/unmounted"):
        Tiny(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    (tmp_path / "real").mkdir()
    Tiny(config(tmp_path / "real"))
    (tmp_path / "tiny").unlink()
    (tmp_path / "tiny").symlink_to(tmp_path / "real/tiny")  # the owner's, on another disk
    assert len(Tiny(config(tmp_path)).train_x) == 2


def test_a_data_folder_that_is_not_there_is_made(tmp_path):
    assert len(Tiny(config(tmp_path / "new/data")).train_x) == 2


def test_an_empty_dataset_folder_is_filled(tmp_path):
    (tmp_path / "tiny").mkdir()
    assert len(Tiny(config(tmp_path)).train_x) == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "other/tiny").symlink_to(tmp_path / "empty")
    with pytest.raises(imo.InputError, match=rf"^{tmp_path}/other/tiny: a link to {tmp_path}/empty"):
        Tiny(config(tmp_path / "other"))


def test_a_full_data_disk_is_named(tmp_path, monkeypatch):
    def save(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", save)
    with pytest.raises(OSError) as error:
        Tiny(config(tmp_path))
    assert explain(error.value).startswith(f"{tmp_path}/tiny: No space left on device")


def test_what_a_killed_process_left_goes_though_another_made_the_dataset(tmp_path):
    Tiny(config(tmp_path))
    left = tmp_path / ".imo-tmp.0123456789ab-elsewhere"
    left.mkdir()
    os.utime(left, (1, 1))
    drop_leftovers.cache_clear()
    Tiny(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
