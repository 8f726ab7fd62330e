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
