"""Where things lie, and how `imo` is started in another process."""

import subprocess

import pytest

from imo.workbench import places


@pytest.mark.parametrize("value", (None, ""))
def test_a_folder_that_the_environment_does_not_name(monkeypatch, value):
    monkeypatch.delenv("OUTPUT", raising=False)
    if value is not None:
        monkeypatch.setenv("OUTPUT", value)
    assert places.default_folder("OUTPUT", "output") == str(places.ROOT / "output")
    monkeypatch.setattr(places, "_IN_CHECKOUT", False)  # an installed copy keeps nothing beside its code
    assert places.default_folder("OUTPUT", "output") == "output"


def test_a_folder_that_the_environment_names(monkeypatch):
    monkeypatch.setenv("OUTPUT", "some where")
    assert places.default_folder("OUTPUT", "output") == "some where"


def test_the_command_of_another_process_takes_nothing_from_where_one_stands(tmp_path):
    for name in ("imo", "clip", "datasets"):
        (tmp_path / f"{name}.py").write_text("raise AssertionError('not ours')")
    done = subprocess.run(places.command("nonesuch"), cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("error: nonesuch: no such command")


def test_the_store_of_checkouts_is_in_the_user_s_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert places.checkout_store() == tmp_path / ".cache/clip-imo/features"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert places.checkout_store() == tmp_path / "c/clip-imo/features"


def test_the_store_that_is_looked_into(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert str(places.default_store()) == "output/features"
    places.checkout_store().mkdir(parents=True)
    assert places.default_store() == places.checkout_store()
    (tmp_path / "output/features").mkdir(parents=True)
    assert str(places.default_store()) == "output/features"


def test_our_own_commands_keep_features_beside_results():
    from dassl.config import get_cfg_default

    from imo.workbench import add_options, extend_cfg

    own, checkout_s = get_cfg_default(), get_cfg_default()
    add_options(own)
    extend_cfg(checkout_s)
    assert own.IMO.STORE == "output/features"
    assert str(places.checkout_store()) == checkout_s.IMO.STORE
