"""Which `clip` models are built of, whatever `import clip` gives."""

import importlib.util
import os
import pickle
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import imo
from imo.model import openai_clip
from imo.model.openai_clip import clip_module, installed_folder

ROOT = Path(imo.__file__).parents[1]
INSTALLED = Path(importlib.util.find_spec("clip").origin).parent


def in_a_checkout(folder, program):
    """What a program prints where another `clip` comes first on the path."""
    (folder / "clip").mkdir()
    for name in ("__init__", "clip", "model", "simple_tokenizer"):
        (folder / f"clip/{name}.py").write_text("def build_model(state_dict, design_details): ...")
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("first", ["import clip.model", "pass"])
def test_a_checkout_s_clip_stays_theirs_and_ours_is_the_installed_one(tmp_path, first):
    program = f"""
{first}
import pickle, imo
model, preprocess = imo.load_clip("glyph")
print(imo.text_classifier(model, ["digit one"], ["a photo of a {{}}."]).shape[1])
print(pickle.loads(pickle.dumps(preprocess)).transforms[2] is preprocess.transforms[2])
import clip.model
print(clip.model.__file__)
"""
    assert in_a_checkout(tmp_path, program) == ["128", "True", str(tmp_path / "clip/model.py")]


def test_modules_have_names_of_ours():
    model = clip_module("model")
    assert model.__name__ == "imo.model.openai_clip.model"
    assert Path(model.__file__) == INSTALLED / "model.py"
    assert clip_module("clip").build_model is model.build_model
    assert pickle.loads(pickle.dumps(model.CLIP)) is model.CLIP


def test_where_no_distribution_is_installed_the_one_on_the_path_will_do(monkeypatch, tmp_path):
    def lacking(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(openai_clip, "distribution", lacking)
    assert installed_folder() == INSTALLED
    monkeypatch.setattr(openai_clip.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install clip-anytorch"):
        installed_folder()


def test_a_clipboard_tool_of_that_name_is_no_clip(monkeypatch, tmp_path):
    class Clipboard:
        def locate_file(self, name):
            return tmp_path / name

    def found(name):
        if name == "clip":
            return Clipboard()
        raise PackageNotFoundError(name)

    monkeypatch.setattr(openai_clip, "distribution", found)
    assert installed_folder() == INSTALLED
    (tmp_path / "clip").mkdir()
    for name in ("model", "simple_tokenizer"):
        (tmp_path / f"clip/{name}.py").touch()
    assert installed_folder() == tmp_path / "clip"
