"""Links in the place of what is written or removed; files written whole, and what killed processes leave of them; JSON
that is none."""

import json
import multiprocessing
import os
import re
import signal

import pytest

import imo
from imo import files
from imo.files import atomic_path, drop_leftovers, leftovers, not_following, read_json, refuse_links, settled


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


@pytest.fixture(autouse=True)
def _a_new_process():
    drop_leftovers.cache_clear()


def begin(folder, path, ready, leave):
    """Write half a file, or of a folder, and wait."""
    with atomic_path(path, folder=folder) as temporary:
        (temporary / "half" if folder else temporary).write_text("half")
        ready.set()
        leave.wait(60)


@pytest.fixture(params=[False, True], ids=["file", "folder"])
def half(request, tmp_path):
    """A process in the middle of writing tmp_path/out: (the process, an event that has it go on, whether a folder)."""
    context = multiprocessing.get_context("fork")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=begin, args=(request.param, tmp_path / "out", ready, leave))
    process.start()
    assert ready.wait(60)
    yield process, leave, request.param
    process.kill()


def later(folder, seconds):
    """As if so much time had passed since."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_file_there(tmp_path, half):
    process, *_ = half
    process.kill()
    process.join()
    assert len(names(tmp_path)) == 1
    later(tmp_path, 11)
    with atomic_path(tmp_path / "another") as temporary:
        temporary.write_text("whole")
    assert names(tmp_path) == ["another"]


@pytest.mark.parametrize("seconds", [11, 4000, 10**6])
def test_what_a_live_process_writes_stays_however_old(tmp_path, half, seconds):
    process, leave, _ = half
    os.kill(process.pid, signal.SIGSTOP)
    later(tmp_path, seconds)
    assert leftovers(tmp_path) == []
    os.kill(process.pid, signal.SIGCONT)
    leave.set()
    process.join()
    assert process.exitcode == 0 and names(tmp_path) == ["out"]


def test_what_is_left_of_another_machine_stays_for_an_hour(tmp_path, half):
    """Its locks may be unknown here. What counts is the last change in a folder."""
    process, _, folder = half
    process.kill()
    process.join()
    (path,) = tmp_path.iterdir()
    path = path.rename(tmp_path / f"{path.name}-else")
    later(tmp_path, 3000)
    assert leftovers(tmp_path) == []
    later(tmp_path, 700)
    assert leftovers(tmp_path) == [path]
    if folder:
        (path / "new").write_text("")
        os.utime(path, (1, 1))
        assert leftovers(tmp_path) == []


def test_links_and_other_peoples_files_are_not_left_over(tmp_path):
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside/kept").write_text("")
    mine = f"{files._TEMPORARY}0123456789ab-{files._MACHINE}"
    (tmp_path / mine).symlink_to(tmp_path / "aside")
    (tmp_path / ".results.json.tmp").write_text("")
    with atomic_path(tmp_path / "aside" / "folder", folder=True) as temporary:
        (temporary / mine).symlink_to(tmp_path / "aside")
    later(tmp_path / "aside", 10**6)
    with atomic_path(tmp_path / "file"):
        assert leftovers(tmp_path) == []
    assert names(tmp_path) == sorted([mine, ".results.json.tmp", "aside", "file"])
    files.remove(tmp_path / "aside/folder")
    assert names(tmp_path / "aside") == ["kept"]


@pytest.mark.parametrize("umask, file, folder", [(0o077, 0o600, 0o700), (0o002, 0o664, 0o775), (0o022, 0o644, 0o755)])
def test_rights_are_as_the_umask_says(tmp_path, umask, file, folder):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "a/file") as temporary:
            temporary.write_text("")
        with atomic_path(tmp_path / "a/folder", folder=True):
            pass
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a/file", "a", "a/folder")] == [file, folder, folder]


def test_a_folder_fills_an_empty_one_and_leaves_a_full_one(tmp_path):
    (tmp_path / "out").mkdir()
    for content in ("first", "second"):
        with atomic_path(tmp_path / "out", folder=True) as temporary:
            (temporary / content).write_text("")
        assert names(tmp_path / "out") == ["first"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as error, atomic_path(tmp_path / "file", folder=True):
        pass
    assert error.value.filename == str(tmp_path / "file") and names(tmp_path) == ["file", "out"]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"[" * 100_000, "(recursion|Stack overflow)"), (b"[1", "delimiter"), (b"[NaN]", "NaN is no finite number"),
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


@pytest.mark.parametrize(
    "path, expected",
    [("a/x", "a/x"), ("a/../a/./x", "a/x"), ("link/x", "link/x"), ("link/../x", "far/x"), ("link/../y", "far/y"),
     ("a/../none", "none"), ("same/../x", "x")],
)  # fmt: skip
def test_a_settled_path_is_of_the_same_file(tmp_path, path, expected):
    for name in ("a", "far/deep"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("x", "a/x", "far/x", "far/y", "far/deep/x"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("far/deep")
    (tmp_path / "same").symlink_to("a")
    assert settled(f"{tmp_path}/{path}") == str(tmp_path / expected)
