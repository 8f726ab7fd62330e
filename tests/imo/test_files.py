"""Temporary files, and links in the place of what is written or removed."""

import os
import re

import pytest

import imo
from imo.files import atomic_path, not_following, refuse_links


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
