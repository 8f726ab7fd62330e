"""Temporary files, links in the place of what is written or removed, and JSON that is none."""

import json
import os
import re

import pytest

import imo
from imo import files
from imo.files import atomic_path, not_following, read_json, refuse_links


def test_a_temporary_name_cannot_be_foreseen(tmp_path):
    """Else a link of that name, placed beforehand, would lead the writing elsewhere."""
    seen = set()
    for _ in range(2):
        with atomic_path(tmp_path / "a") as temporary:
            seen.add(temporary.name)
            assert temporary.lstat().st_size == 0 and temporary.parent == tmp_path
    assert len(seen) == 2 and str(os.getpid()) not in "".join(seen)
    assert os.listdir(tmp_path) == ["a"]


@pytest.fixture
def linked(tmp_path):
    """root/a/link, where link leads to another folder."""
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "aside").mkdir()
    (tmp_path / "root/a/link").symlink_to(tmp_path / "aside")
    return tmp_path


@pytest.mark.parametrize("name", ["a/link", "a/link/b", "a/link/b/c.png"])
def test_a_link_on_the_way_is_refused_by_its_name(linked, name):
    place = re.escape(str(linked / "root/a/link"))
    with pytest.raises(imo.InputError, match=rf"^{place}: a link to {re.escape(str(linked / 'aside'))}; .*remove"):
        refuse_links(linked / "root" / name, linked / "root")


def test_what_is_above_the_root_may_be_a_link(linked):
    refuse_links(linked / "root/a/link/b", linked / "root/a/link")
    refuse_links(linked / "root/a/b", linked / "root")
    refuse_links("b", "")


def test_a_file_is_not_opened_through_a_link(linked):
    for there in (False, True):
        target, link = linked / f"target-{there}", linked / f"link-{there}"
        if there:
            target.write_text("kept")
        link.symlink_to(target)
        with pytest.raises(imo.InputError, match=str(link)), open(link, "w", opener=not_following):
            pass
        assert target.exists() == there and (not there or target.read_text() == "kept")
    with open(linked / "plain", "w", opener=not_following) as file:
        file.write("x")
    assert (linked / "plain").stat().st_mode & 0o111 == 0


@pytest.mark.parametrize(
    "content, words",
    [
        (b"[" * 100_000, "recursion"), (b"[1", "delimiter"), (b"[NaN]", "NaN is no finite number"),
        (b"", "Expecting value"), (b"[1e999]", "1e999 is no finite number"), (b"\xff\xfe\xfd", "decode"),
        (b'["a"]', "Expected `int`"), (b"{}", "array"),
    ],
)  # fmt: skip
def test_json_that_is_none(tmp_path, content, words):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(imo.InputError, match=rf"a\.json: broken \(.*{words}.*\); get another$"):
        read_json(tmp_path / "a.json", list[int], "broken", "get another")


def test_json_may_name_files_that_are_not_utf_8(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(["\udcff.png"]))
    assert read_json(tmp_path / "a.json", list[str], "broken", "") == ["\udcff.png"]


def test_json_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_JSON_LIMIT", 10)
    (tmp_path / "a.json").write_text("[1, 2, 3, 4, 5]")
    with pytest.raises(imo.InputError, match="larger than 10 bytes"):
        read_json(tmp_path / "a.json", list[int], "broken", "")
