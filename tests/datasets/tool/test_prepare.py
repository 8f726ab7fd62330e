import functools
import hashlib
import http.server
import shlex
import tarfile
import threading

import pytest
import torchvision
from building import build
from layouts import FALLBACKS, food101, oxford_pets

from imo.datasets.tool.check import declared


@pytest.fixture
def server(tmp_path):
    """A folder served on 127.0.0.1, and its address; `cut` names files of which only half is sent."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        cut = set()
        asked = []

        def log_message(self, *args):
            pass

        def do_GET(self):
            self.asked.append(self.path)
            path = tmp_path / "served" / self.path.strip("/")
            if not path.is_file():
                return self.send_error(404)
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if path.name in self.cut else content)

        do_HEAD = do_GET

    (tmp_path / "served").mkdir()
    Handler.cut, Handler.asked = set(), []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=tmp_path)) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()  # polls for its shutdown
        httpd.handler, httpd.url = Handler, f"http://127.0.0.1:{httpd.server_port}"
        yield httpd
        httpd.shutdown()


def archive(path, folder, *names):
    """Packs names below a folder; returns the md5."""
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            tar.add(folder / name, name)
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def pets(tmp_path, server, monkeypatch):
    """Oxford Pets in miniature on the server, as torchvision's two archives."""
    oxford_pets(tmp_path / "made")
    resources = []
    for name in ("images", "annotations"):
        path = tmp_path / f"served/{name}.tar.gz"
        resources.append((f"{server.url}/{path.name}", archive(path, tmp_path / "made/oxford_pets", name)))
    monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", tuple(resources))
    return server


def test_prepare_fetches_and_lays_out(tmp_path, pets, cli):
    data = tmp_path / "data"
    status, out, _ = cli("prepare", "OxfordPets", "--root", data)
    assert status == 1  # not as many as were published
    assert f"by hand: gdown 1501r8Ber4nNKvmlFVQZ8SeUHTcdTTEqs -O {data}/oxford_pets/split_zhou_OxfordPets.json" in out
    assert sorted(path.name for path in (data / "oxford_pets").iterdir()) == ["annotations", "images"]
    assert build("oxford_pets", data).classnames == ["abyssinian", "great_pyrenees"]
    asked = len(pets.handler.asked)
    cli("prepare", "OxfordPets", "--root", data)
    assert len(pets.handler.asked) == asked  # nothing is fetched twice


@pytest.mark.parametrize("fault", ["cut", "absent", "no server"])
def test_a_failed_download_leaves_nothing_half_made_and_goes_on(tmp_path, pets, cli, fault):
    data = tmp_path / "data"
    whole = tmp_path / "served/annotations.tar.gz"
    if fault == "cut":
        pets.handler.cut.add(whole.name)
    elif fault == "absent":
        whole.rename(tmp_path / "aside")
    else:
        pets.shutdown()
        pets.server_close()
    status, out, err = cli("prepare", "OxfordPets", "--root", data)
    error = err.splitlines()[-1]
    assert (status, out) == (2, "")
    assert error.startswith("error: OxfordPets: download failed (") and "run the same command again" in error
    left = [path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()]
    if fault == "no server":
        assert list(data.iterdir()) == []
        return
    assert left == ["oxford_pets/.prepare/oxford-iiit-pet/images.tar.gz"]
    pets.handler.cut.clear()
    if fault == "absent":
        (tmp_path / "aside").rename(whole)
    pets.handler.asked.clear()
    status, out, err = cli("prepare", "OxfordPets", "--root", data)
    assert status == 1, err
    assert "/images.tar.gz" not in pets.handler.asked
    assert sorted(path.name for path in (data / "oxford_pets").iterdir()) == ["annotations", "images"]


def test_half_a_folder_of_a_killed_process_is_not_taken_for_the_whole(tmp_path, pets, cli):
    staging = tmp_path / "data/oxford_pets/.prepare/oxford-iiit-pet"
    (staging / "images").mkdir(parents=True)
    (staging / "annotations").mkdir()
    cli("prepare", "OxfordPets", "--root", tmp_path / "data")
    assert len(list((tmp_path / "data/oxford_pets/images").iterdir())) == 14


def test_a_truncated_archive_without_a_checksum_is_fetched_again(tmp_path, server, cli, monkeypatch):
    FALLBACKS["fgvc_aircraft"][0](tmp_path / "made")
    (tmp_path / "made/fgvc-aircraft-2013b").mkdir()
    (tmp_path / "made/fgvc_aircraft").rename(tmp_path / "made/fgvc-aircraft-2013b/data")
    data = tmp_path / "made/fgvc-aircraft-2013b/data"
    (data / "images_variant_trainval.txt").write_text((data / "images_variant_train.txt").read_text())
    archive(tmp_path / "served/aircraft.tar.gz", tmp_path / "made", "fgvc-aircraft-2013b")
    monkeypatch.setattr(torchvision.datasets.FGVCAircraft, "_URL", f"{server.url}/aircraft.tar.gz")
    server.handler.cut.add("aircraft.tar.gz")
    assert cli("prepare", "fgvc_aircraft", "--root", tmp_path / "data")[0] == 2
    assert list((tmp_path / "data").iterdir()) == []
    server.handler.cut.clear()
    status, _, err = cli("prepare", "fgvc_aircraft", "--root", tmp_path / "data")
    assert status == 1, err
    assert build("fgvc_aircraft", tmp_path / "data").classnames == ["707-320", "Cessna 172"]


def test_what_is_there_stays(tmp_path, server, cli, monkeypatch):
    """Food101's images are there already: nothing is asked of the network."""
    food101(tmp_path / "data")
    monkeypatch.setattr(torchvision.datasets.Food101, "_URL", f"{server.url}/food-101.tar.gz")
    status, out, _ = cli("prepare", "Food101", "--root", tmp_path / "data")
    assert status == 1 and server.handler.asked == []
    assert "by hand: gdown 1QK0tGi096I0Ba6kggatX1ee6dJFIcEJl" in out


def test_a_dataset_for_hands_alone_says_so(tmp_path, cli):
    status, out, _ = cli("prepare", "ImageNet", "--root", tmp_path / "data")
    assert status == 1
    assert f"by hand: {tmp_path}/data/imagenet/images/val from https://image-net.org" in out
    assert f"by hand: gdown 1-61f_ol79pViBFDG_IDlUQSwoLcn2XXF -O {tmp_path}/data/imagenet/classnames.txt" in out


def test_every_torchvision_class_is_there():
    fetched = [kind for kind in declared().values() if kind.torchvision]
    assert len(fetched) == 8
    for kind in fetched:
        assert "download" in getattr(torchvision.datasets, kind.torchvision.name).__init__.__annotations__
        assert set(kind.torchvision.moves.values()) <= {name.rstrip("/") for name in kind.sources}


@pytest.fixture
def precious(tmp_path):
    """A folder of other people's files, which stay as they are."""
    (tmp_path / "precious/inner").mkdir(parents=True)
    names = {"thesis.txt", "photos.zip", "inner/more.txt", "inner/old.tar.gz"}
    for name in names:
        (tmp_path / "precious" / name).write_text(name)
    yield tmp_path / "precious"
    found = {path.relative_to(tmp_path / "precious").as_posix(): path for path in (tmp_path / "precious").rglob("*.*")}
    assert set(found) == names and all(path.read_text() == name for name, path in found.items())


@pytest.mark.parametrize("name", [".prepare", "images"])
def test_a_link_in_the_place_of_what_is_filled_is_refused(tmp_path, pets, cli, precious, name):
    link = tmp_path / "data/oxford_pets" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(precious if name == ".prepare" else tmp_path / "unmounted")
    status, out, err = cli("prepare", "OxfordPets", "--root", tmp_path / "data")
    assert (status, out) == (2, "") and err.startswith(f"error: {link}: a link to ")
    assert link.is_symlink() and pets.handler.asked == []


@pytest.mark.parametrize("fault", [False, True])
@pytest.mark.parametrize("place", ["oxford-iiit-pet", "other", "oxford-iiit-pet/images", "oxford-iiit-pet/x.tar.gz"])
def test_links_in_the_staging_folder_are_removed_and_not_followed(tmp_path, pets, cli, precious, place, fault):
    link = tmp_path / "data/oxford_pets/.prepare" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(precious / "photos.zip" if place.endswith(".gz") else precious)
    if fault:
        pets.handler.cut.add("images.tar.gz")
    assert cli("prepare", "OxfordPets", "--root", tmp_path / "data")[0] == (2 if fault else 1)
    assert not link.is_symlink()


def test_a_dataset_on_another_disk_is_filled(tmp_path, pets, cli):
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/oxford_pets").symlink_to(tmp_path / "disk")
    assert cli("prepare", "OxfordPets", "--root", tmp_path / "data")[0] == 1
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["annotations", "images"]


def test_the_commands_that_it_prints_can_be_pasted(tmp_path, cli):
    root = tmp_path / "it's $(touch fuse); touch fuse #"
    _, out, _ = cli("prepare", "ImageNet", "--root", root)
    (command,) = [line.partition("by hand: ")[2] for line in out.splitlines() if "gdown" in line]
    assert shlex.split(command, comments=True)[2:] == ["-O", f"{root}/imagenet/classnames.txt"]


def test_what_a_process_killed_at_the_end_left_goes(tmp_path, pets, cli):
    data = tmp_path / "data"
    cli("prepare", "OxfordPets", "--root", data)
    (data / "oxford_pets/.prepare/x").mkdir(parents=True)
    (data / ".oxford_pets.lock").write_text("")
    cli("prepare", "OxfordPets", "--root", data)
    assert sorted(path.name for path in data.rglob("*") if path.name[0] == ".") == []


def test_a_full_disk_is_named(tmp_path, pets, cli, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", fail)
    status, _, err = cli("prepare", "OxfordPets", "--root", tmp_path / "data")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {tmp_path}/data/oxford_pets/.prepare: No space left on device; ")
