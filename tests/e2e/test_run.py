"""imo-run in a small checkout of CoOp's shape (tests/checkout), and the two lines that do its work in a train.py."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import clip
import dassl
import pytest
import torch
from bench import ROOT, make_dataset

from imo import trainers
from imo.compat.bridge import ensure_dassl
from imo.errors import InputError
from imo.workbench import cli
from imo.workbench import launcher as run

OURS = "configs/trainers/{}/glyph.yaml"


class Checkout:
    """A copy of tests/checkout with images in Caltech 101's place and a `clip/` of its own, whose models are built with
    prompts inside, as in MaPLe and others: not from a state dict alone."""

    def __init__(self, folder):
        self.folder = Path(shutil.copytree(ROOT / "tests/checkout", folder / "checkout"))
        shutil.copytree(Path(clip.__file__).parent, self.folder / "clip", ignore=shutil.ignore_patterns("__pycache__"))
        model = self.folder / "clip/model.py"
        text = model.read_text()
        assert text.count("def build_model(state_dict: dict)") == 1
        model.write_text(text.replace("(state_dict: dict)", "(state_dict: dict, design_details)"))
        make_dataset(folder / "data", "caltech-101")
        self.output = folder / "output/caltech101/a_2shots/seed1"

    def __call__(self, *command, path=(), **variables):
        """Runs Python in the checkout, where it finds this project and what else is on `path`."""
        path = os.pathsep.join([str(ROOT), *path, os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )

    def train(self, *start, trainer, config, path=(), store=True, **variables):
        options = ("IMO.STORE", self.folder.parent / "s") if store else ()
        return self(
            *start, "train.py", "--trainer", *trainer.split(), "--config-file", config, "--seed", 1,
            "--dataset-config-file", "configs/datasets/caltech101.yaml", "--root", self.folder.parent / "data",
            "--output-dir", self.output, "DATASET.NUM_SHOTS", 2, "IMO.PASSES", 2, *options,
            path=path, **variables,
        )  # fmt: skip

    def files(self):
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_tip_x_pp_runs_in_an_unchanged_checkout(checkout):
    before = checkout.files()
    done = checkout.train("-m", "imo.run", trainer="TipXPP", config=OURS.format("TipXPP"))
    assert done.returncode == 0, done.stderr
    assert checkout.files() == before

    log = (checkout.output / "log.txt").read_text()
    said = [line for line in log.splitlines() if line.startswith("imo-run:")]
    assert said == [
        f"imo-run: Dassl: {ensure_dassl()}",
        f"imo-run: {OURS.format('TipXPP')} is not in this checkout: read from {ROOT / 'configs/backbones/glyph.yaml'}",
        "imo-run: this checkout's own trainers stand: ZeroshotCLIP; clip-imo's are called imo.ZeroshotCLIP",
    ]
    assert f"clip of {checkout.folder / 'clip/__init__.py'}" in log
    assert ("imo/compat/dassl" in log) == (ensure_dassl() == "imo.compat")
    assert "THEIRS: True" in log and "BOTTLENECK" not in log, "their nodes replace ours"
    assert "Prompts: ['a photo of a digit zero.'" in log

    results = json.loads((checkout.output / "results.json").read_text())
    assert f"* accuracy: {results['accuracy']:.1f}%" in log
    facts = ("trainer", "dataset", "cfg", "shots", "seed", "n_test", "tuned_on", "correction")
    assert [results[key] for key in facts] == ["TipXPP", "Caltech101", "glyph", 2, 1, 20, "val", "adapter"]


OLD_TRANSFORMS = """
from imo.compat import transforms as new
from imo.compat.transforms import AVAI_CHOICES, INTERPOLATION_MODES

def build_transform(cfg, is_train=True, choices=None):
    cfg = cfg.clone()
    cfg.defrost()
    cfg.INPUT.RRCROP_SCALE = (0.08, 1.0)
    return new.build_transform(cfg, is_train, choices)
"""


def old_dassl(folder):
    """A Dassl of before the head of 2022, as ProGrad and KgCoOp bundle one, made of the stand-in: without
    INPUT.RRCROP_SCALE, which its crops do not heed, and without a checkpoint's `val_result`."""
    source, package = ROOT / "imo/compat/dassl", folder / "old/dassl"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "data/transforms/__init__.py").write_text(OLD_TRANSFORMS)
    for file, old, new in (
        (
            "config/defaults.py",
            "return CfgNode(DEFAULTS)",
            "c = CfgNode(DEFAULTS); del c.INPUT['RRCROP_SCALE']; return c",
        ),
        ("engine/models.py", "val_result: float | None = None, ", ""),
        ("engine/models.py", '                "val_result": val_result,\n', ""),
    ):
        text = (package / file).read_text()
        assert text.count(old) == 1, (file, old)
        (package / file).write_text(text.replace(old, new))
    return str(package.parent)


@pytest.mark.parametrize("trainer", ["TipXPP", "CoOp"])
def test_an_older_dassl_gives_the_same(checkout, trainer):
    """Its own crops, of other views under the same options, would fill the store with other features."""
    results = []
    for path in ([old_dassl(checkout.folder.parent)], []):
        done = checkout.train("-m", "imo.run", trainer=trainer, config=OURS.format(trainer), path=path)
        assert done.returncode == 0, done.stderr
        assert ("old/dassl" in done.stdout) == bool(path)
        results.append(json.loads((checkout.output / "results.json").read_text()))
        shutil.rmtree(checkout.output)
    old, new = results
    assert (old["accuracy"], old["macro_f1"], old["hyper_parameters"]) == (
        new["accuracy"], new["macro_f1"], new["hyper_parameters"]
    )  # fmt: skip
    assert not any((new["images_encoded"] or {}).values()), "all were in the store, under the same key"


@pytest.mark.parametrize("launched", [True, False])
def test_nothing_is_left_behind_in_a_checkout(checkout, launched):
    """Features go to the user's cache folder, where `imo store` finds them."""
    start = ["-m", "imo.run"]
    if not launched:
        script = checkout.folder / "train.py"
        text = script.read_text()
        ours = "    __import__('imo.workbench').workbench.extend_cfg(cfg)\n"
        script.write_text(text.replace("    extend_cfg(cfg)\n", ours + "    extend_cfg(cfg)\n"))
        start = []
    before, cache = checkout.files(), checkout.folder.parent / "cache"
    installed = [str(Path(dassl.__file__).parents[1])]
    done = checkout.train(
        *start, trainer="TipAdapter", config=ROOT / OURS.format("TipAdapter"),
        store=False, path=installed, XDG_CACHE_HOME=str(cache),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert checkout.files() == before
    assert list(cache.glob("clip-imo/features/*/*.shard"))
    listed = checkout("-m", "imo", "store", "list", XDG_CACHE_HOME=str(cache))
    assert listed.stdout.startswith(f"Store: {cache}/clip-imo/features\n"), listed.stderr


def test_what_a_checkout_forces(checkout):
    """PLOT sets the number of epochs after all options, CLAP gives `load_model` its config."""
    script = checkout.folder / "train.py"
    text = script.read_text()
    for old, new in (
        ("    cfg.freeze()\n", "    cfg.OPTIM.MAX_EPOCH = 50\n    cfg.freeze()\n"),
        (
            ".train()\n",
            ".train()\n    again = build_trainer(cfg)\n    again.load_model(cfg.OUTPUT_DIR, cfg, epoch=None)\n",
        ),
        ('    for name in ("clip"', '    assert again.test() > 0\n    for name in ("clip"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    script.write_text(text)
    done = checkout.train("-m", "imo.run", trainer="TipAdapter", config=OURS.format("TipAdapter"))
    assert done.returncode == 0, done.stderr
    log = (checkout.output / "log.txt").read_text()
    assert "imo-run: train.py has set, over config files and options: OPTIM.MAX_EPOCH 50 (was 1)" in log
    assert "OPTIM.MAX_EPOCH 50: has no meaning for TipAdapter, which makes one pass" in log
    first, second = re.findall(r"\* accuracy: (.*)%", log)
    assert first == second


@pytest.mark.parametrize("dassl_s", ["new", "old"])
def test_trainers_of_the_checkout_do_what_they_do_without_us(checkout, dassl_s):
    """To the last bit: the losses that are logged, the state, and the accuracy."""
    path = [old_dassl(checkout.folder.parent) if dassl_s == "old" else str(Path(dassl.__file__).parents[1])]
    outcomes = []
    for start in ([], ["-m", "imo.run"]):
        done = checkout(
            *start, "train.py", "--trainer", "Linear", "--config-file", "configs/trainers/Linear/two.yaml",
            "--seed", 1, "--dataset-config-file", "configs/datasets/caltech101.yaml",
            "--root", checkout.folder.parent / "data", "--output-dir", checkout.output, "DATASET.NUM_SHOTS", 4,
            path=path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        log = (checkout.output / "log.txt").read_text()
        assert ("imo-run: " in log) == bool(start)
        state = torch.load(checkout.output / "linear/model.pth.tar-2", weights_only=True)["state_dict"]
        outcomes.append((re.findall(r"loss [\d.]+ \([\d.]+\)", log), re.findall(r"\* \w+: .*", log), state))
        shutil.rmtree(checkout.output)
    (losses, accuracy, state), (losses_too, accuracy_too, state_too) = outcomes
    assert len(losses) == 4 and losses == losses_too and accuracy == accuracy_too
    assert state.keys() == state_too.keys() and all(torch.equal(state[name], state_too[name]) for name in state)


LOGGER = """
class Both:
    def __init__(self, screen, path):
        self.screen, self.file = screen, open(path, "w")

    def write(self, text):
        self.screen.write(text)
        self.file.write(text)

    def flush(self):
        self.file.flush()


def setup_logger(folder):
    import os
    os.makedirs(folder, exist_ok=True)
    sys.stdout = Both(sys.stdout, os.path.join(folder, "log.txt"))


def extend_cfg(cfg):
"""


def test_a_logger_and_flags_of_its_own(checkout):
    """Its log is a stream that does little more than write; its --backbone has a default, as CLAP's, which is named."""
    script = checkout.folder / "train.py"
    text = script.read_text()
    for old, new in (
        ("def extend_cfg(cfg):\n", LOGGER.lstrip()),
        ("set_random_seed, setup_logger", "set_random_seed"),
        (
            '    parser.add_argument("--seed"',
            '    parser.add_argument("--backbone", default="RN50")\n' + " " * 4 + 'parser.add_argument("--seed"',
        ),
        ("    cfg.merge_from_list", "    cfg.MODEL.BACKBONE.NAME = args.backbone\n    cfg.merge_from_list"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    script.write_text(text)
    done = checkout.train("-m", "imo.run", trainer="TipXPP", config=OURS.format("TipXPP"))
    assert done.returncode == 2
    assert "MODEL.BACKBONE.NAME 'RN50' (was 'glyph')" in done.stdout
    done = checkout.train("-m", "imo.run", trainer="TipXPP --backbone glyph", config=OURS.format("TipXPP"))
    assert done.returncode == 0, done.stderr
    results = json.loads((checkout.output / "results.json").read_text())
    assert f"* accuracy: {results['accuracy']:.1f}%" in (checkout.output / "log.txt").read_text()


def test_a_test_without_a_state(checkout):
    """PLOT++'s train.py loads none with --eval-only."""
    script = checkout.folder / "train.py"
    script.write_text(script.read_text().replace("build_trainer(cfg).train()", "build_trainer(cfg).test()"))
    done = checkout.train("-m", "imo.run", trainer="TipXPP", config=OURS.format("TipXPP"))
    assert done.returncode == 2 and "--eval-only: TipXPP has no state to test" in done.stderr.splitlines()[-1]


def test_two_lines_in_train_py_do_without_the_launcher(checkout):
    """With CONTRIBUTING.md's example of a trainer beside the checkout's own, imported last."""
    example = re.search(r"# trainers/nearest_mean\.py\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    (checkout.folder / "trainers/nearest_mean.py").write_text(example[1])
    script = checkout.folder / "train.py"
    text = script.read_text()
    for old, new in (
        ("import trainers.prior", "import trainers.prior\nimport trainers.nearest_mean"),
        ("import CfgNode\n", "import CfgNode\nfrom imo.workbench import extend_cfg as extend_with_imo\n"),
        ("    extend_cfg(cfg)\n", "    extend_with_imo(cfg)\n    extend_cfg(cfg)\n"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    script.write_text(text)
    installed = str(Path(dassl.__file__).parents[1])  # such a checkout has a Dassl
    config = ROOT / OURS.format("TipAdapter")
    done = checkout.train(trainer="NearestMeanPP", config=config, path=[installed])
    assert done.returncode == 0, done.stderr
    results = json.loads((checkout.output / "results.json").read_text())
    assert (results["trainer"], results["correction"]) == ("NearestMeanPP", "adapter")


def test_the_list_names_the_owners(checkout):
    done = checkout("-m", "imo.run", "--list")
    assert done.returncode == 0, done.stderr
    owners = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  "))
    assert owners["ZeroshotCLIP"] == "this checkout (trainers.prior)"
    assert owners["Caltech101"] == "this checkout (datasets.blobs)"
    for name in ("imo.ZeroshotCLIP", "TipXPP", "imo.Caltech101", "ColoredDigits"):
        assert owners[name] == "clip-imo"


@pytest.fixture
def main(monkeypatch, capsys):
    """main(*argv) in this process, whose path and Dassl are put back afterwards: its status and what it says."""
    import dassl.config
    import dassl.engine

    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.setattr(dassl.config, "get_cfg_default", dassl.config.get_cfg_default)
    monkeypatch.setattr(dassl.engine, "build_trainer", dassl.engine.build_trainer)

    def call(*argv):
        status = cli.main(["run", *map(str, argv)])
        return status, *capsys.readouterr()

    return call


def test_outside_of_a_checkout(main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = main("train.py", "--trainer", "TipXPP")
    assert status == 2
    assert err.startswith("error: train.py: no such script") and err.count("\n") == 1


@pytest.mark.parametrize("form", ["--config-file {}", "--config-file={}"])
def test_a_config_file_that_nobody_has(main, tmp_path, form):
    (tmp_path / "train.py").write_text("raise AssertionError")
    status, _, err = main(tmp_path / "train.py", *form.format("configs/trainers/TipXPP/nonesuch.yaml").split())
    assert status == 2
    assert err.startswith("error: --config-file: no such file: configs/trainers/TipXPP/nonesuch.yaml")


def test_config_files_of_the_checkout_come_first(tmp_path, monkeypatch):
    trainers.register()
    monkeypatch.chdir(tmp_path)
    name = OURS.format("TipXPP")
    argv = ["--config-file", name, f"--dataset-config-file={name}", "--trainer", name]
    assert run.borrowed_configs(argv) == [name, name]
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    assert run.borrowed_configs(argv) == []


def test_what_a_user_can_mend_is_one_line(main, tmp_path):
    (tmp_path / "train.py").write_text("import imo\nraise imo.InputError('data: gone; bring it back')")
    assert main(tmp_path / "train.py") == (2, "", "error: data: gone; bring it back\n")


def test_errors_of_the_checkout_go_through(main, tmp_path):
    (tmp_path / "train.py").write_text("import sys\nsys.exit(len(sys.argv))")
    with pytest.raises(SystemExit, match="3"):
        main(tmp_path / "train.py", "--flag", "word")
    (tmp_path / "train.py").write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        main(tmp_path / "train.py")
    (tmp_path / "train.py").write_text("open('no/such/file')")
    with pytest.raises(FileNotFoundError):
        main(tmp_path / "train.py")


def test_ctrl_c_in_a_checkout_is_one_line(main, tmp_path):
    (tmp_path / "train.py").write_text("raise KeyboardInterrupt")
    status, _, err = main(tmp_path / "train.py")
    assert status == 130 and err.startswith("interrupted: ") and err.count("\n") == 1


def test_what_breaks_upstream_is_said_with_the_remedy(monkeypatch):
    from dassl.config import get_cfg_default
    from dassl.engine import TRAINER_REGISTRY

    trainers.register()

    class Scheduler:  # of PyTorch >= 2.7
        def __init__(self, optimizer, last_epoch=-1): ...

    monkeypatch.setattr(run, "LRScheduler", Scheduler)
    cfg = get_cfg_default()
    cfg.TRAINER.NAME = "TipXPP"
    assert run.pitfalls(cfg, TRAINER_REGISTRY) == []
    cfg.OPTIM.WARMUP_EPOCH = 1
    monkeypatch.setattr(sys, "argv", ["train.py", "--eval-only"])
    assert [line.rpartition(" add ")[2] for line in run.pitfalls(cfg, TRAINER_REGISTRY)] == ["OPTIM.WARMUP_EPOCH 0"]
    cfg.OPTIM.WARMUP_EPOCH, cfg.TRAINER.NAME = 0, "SomebodyElses"
    (line,) = run.pitfalls(cfg, TRAINER_REGISTRY)
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" in line and "best_val" in line


def test_an_unknown_config_outside_of_configs():
    with pytest.raises(InputError, match=r"vit\.yaml"):
        run.borrowed_configs(["--config-file", "vit.yaml"])
