"""The shell scripts: what they run, skip, redo and print, and how they find an interpreter."""

import csv
import importlib
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from bench import ROOT, Finished, make_dataset, script
from dassl.engine import TRAINER_REGISTRY

from imo.workbench.report.tables import method_name

NEEDED = re.search(r'^NEEDED="(.*)"$', (ROOT / "scripts/_env.sh").read_text(), re.MULTILINE)[1].split()
TRAINERS = {
    "zeroshot_clip.sh": "ZeroshotCLIP",
    "zeroshot_clip2.sh": "ZeroshotCLIP2",
    "calip.sh": "CALIP",
    "tip_adapter.sh": "TipAdapter",
    "tipx.sh": "TipX",
    "ape.sh": "APE",
    "gda.sh": "GDA",
    "proker.sh": "ProKeR",
    "tip_adapter_pp.sh": "TipAdapterPP",
    "tipx_pp.sh": "TipXPP",
    "ape_pp.sh": "APEPP",
    "gda_pp.sh": "GDAPP",
    "proker_pp.sh": "ProKeRPP",
    "linear_probe.sh": "LinearProbe",
    "clip_adapter.sh": "CLIPAdapter",
    "tip_adapter_f.sh": "TipAdapterF",
    "tip_adapter_f_pp.sh": "TipAdapterFPP",
    "task_res.sh": "TaskRes",
    "lp_plus_plus.sh": "LPPlusPlus",
    "clap.sh": "CLAP",
    "coop.sh": "CoOp",
    "cocoop.sh": "CoCoOp",
    "imo_adapter.sh": "IMOAdapter",
}
SCRIPTS = (*TRAINERS, "run.sh", "compare.sh", "compare_all.sh", "shift.sh")


class Checkout:
    """A copy of the repository's outside, its code linked in, with a trainer config `tiny` for the tiny CLIP."""

    def __init__(self, folder, assets):
        self.folder = folder
        for name in ("imo", "trainers", "datasets", "train.py"):
            (folder / name).symlink_to(ROOT / name)
        for name in ("scripts", "configs"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "setup.py", folder)
        for path in (folder / "configs/trainers").glob("*/glyph.yaml"):
            text = path.read_text()
            assert text.count('NAME: "glyph"') == 1
            path.with_name("tiny.yaml").write_text(text.replace('NAME: "glyph"', f'NAME: "{assets.backbone}"'))
        self.environment = {"DATA": assets.data, "ADAPTER": assets.adapter, "CFG": "tiny", "OMP_NUM_THREADS": 1}

    def script(self, name, *args, path=None, **environment):
        """Run a script; `path` is its PATH, by default this interpreter's folder before the system's."""
        path = path or f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
        variables = {"HOME": self.folder, "PATH": path, **self.environment, **environment}
        variables["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")  # the Dassl that the tests run on
        command = ["bash", str(self.folder / "scripts" / name), *map(str, args)]
        env = {key: str(value) for key, value in variables.items()}
        run = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
        return Finished(run.returncode, run.stdout, run.stderr, Path(environment.get("OUTPUT", self.folder / "output")))

    def runs(self, capfd, output, *args, **instead):
        """scripts/runs.py in this process, as the scripts call it."""
        rest = {"cfg": "tiny", "data": self.environment["DATA"], "adapter": self.environment["ADAPTER"], **instead}
        rest = [word for name, value in rest.items() for word in (f"--{name}", value)]
        with script(self.folder, "runs") as module:
            status = module.main([str(word) for word in (*args, "--output", output, *rest)])
        return Finished(status, *capfd.readouterr(), Path(output))


@pytest.fixture(scope="session")
def checkout(assets, tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("checkout"), assets)


@pytest.fixture
def complete():
    """Skips where a script would not take this interpreter, but fill a .venv."""
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking or not (Path(sys.executable).parent / "python").exists():
        pytest.skip(f"scripts would not run this interpreter; it lacks {lacking}")


def fingerprint(folder):
    """Name, content and time of every results.json."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path(folder).rglob("results.json")}


def test_main_job(checkout, complete, tmp_path, capfd):
    run = checkout.script("tipx_pp.sh", "digits", 2, "tiny", OUTPUT=tmp_path, SEEDS="1 2")
    assert run.status == 0, run.err
    assert not (checkout.folder / ".venv").exists()
    folders = [tmp_path / f"digits/TipXPP/tiny_2shots/seed{seed}" for seed in (1, 2)]
    results = [json.loads((folder / "results.json").read_text()) for folder in folders]
    assert [(r["trainer"], r["cfg"], r["shots"], r["seed"]) for r in results] == [
        ("TipXPP", "tiny", 2, s) for s in (1, 2)
    ]
    values = [r["accuracy"] for r in results]
    assert f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}" in run.out
    assert [coop in run.out for coop in ("Finish training", "* accuracy")] == [True, True]
    assert all("* accuracy" in (folder / "log.txt").read_text() for folder in folders)

    args = ("--trainers", "TipXPP", "--dataset", "digits", "--shots", 2, "--seeds", 1, 2)
    before = fingerprint(tmp_path)
    again = checkout.runs(capfd, tmp_path, *args)
    assert again.status == 0
    assert "2 of 2 runs are finished already and skipped" in again.out
    assert fingerprint(tmp_path) == before

    # Half-done runs are redone, finished ones stay.
    for spoil in (lambda path: path.unlink(), lambda path: path.write_text(path.read_text()[:100])):
        spoil(folders[1] / "results.json")
        redone = checkout.runs(capfd, tmp_path, *args)
        assert redone.status == 0, redone.err
        assert "1 of 2 runs are finished already and skipped" in redone.out
        after = fingerprint(tmp_path)
        assert after[folders[0] / "results.json"] == before[folders[0] / "results.json"]
        content = json.loads((folders[1] / "results.json").read_text())
        assert content["accuracy"] == values[1]
        assert content["images_encoded"] == {"clip": 0, "adapter": 0}
        assert sorted(path.name for path in folders[1].iterdir()) == ["cache", "log.txt", "results.json", "surface.npz"]


def test_compare(checkout, complete, tmp_path):
    trainers = "ZeroshotCLIP TipAdapter TipX"
    run = checkout.script("compare.sh", "digits", 1, 2, OUTPUT=tmp_path, SEEDS="0 1 2", TRAINERS=trainers)
    assert run.status == 0, run.err
    accuracy = {}
    for path in tmp_path.rglob("results.json"):
        result = json.loads(path.read_text())
        accuracy.setdefault((result["trainer"], result["shots"]), {})[result["seed"]] = result["accuracy"]
    trainers = ("TipAdapter", "TipAdapterPP", "TipX", "TipXPP")
    assert accuracy.keys() == {("ZeroshotCLIP", 0)} | {(name, shots) for name in trainers for shots in (1, 2)}
    with open(tmp_path / "digits/compare.csv", newline="") as file:
        rows = {(row["method"], int(row["shots"])): row for row in csv.DictReader(file)}
    for key, by_seed in accuracy.items():
        values = [by_seed[seed] for seed in sorted(by_seed)]
        assert int(rows[key]["n"]) == len(values) == (1 if key[0] == "ZeroshotCLIP" else 3)
        assert float(rows[key]["mean"]) == pytest.approx(statistics.mean(values), abs=1e-3)
        if len(values) > 1:
            assert float(rows[key]["std"]) == pytest.approx(statistics.stdev(values), abs=1e-3)
    for name in ("TipAdapter", "TipX"):
        for shots in (1, 2):
            gains = [accuracy[f"{name}PP", shots][seed] - accuracy[name, shots][seed] for seed in range(3)]
            row = rows[f"gain of {name}PP", shots]
            assert float(row["mean"]) == pytest.approx(statistics.mean(gains), abs=1e-3)
            assert float(row["std"]) == pytest.approx(statistics.stdev(gains), abs=1e-3)
    assert "val (full)" in run.out and "seeds 0, 1, 2" in run.out
    assert (tmp_path / "digits/compare.md").read_text().strip() in run.out


def test_adapter_then_shift(checkout, tmp_path, capfd, assets):
    run = checkout.runs(capfd, tmp_path, "--trainers", "IMOAdapter", "--dataset", "digits", "--shots", 3, "--seeds", 1)
    assert run.status == 0, run.err
    adapter = tmp_path / "digits/IMOAdapter/tiny_3shots/seed1/adapter.safetensors"
    data = Path(shutil.copytree(assets.data, tmp_path / "data"))
    make_dataset(data, "mnist5k", seed=3)
    trainers = ("TipAdapter", "TipAdapterPP")
    args = ("--trainers", *trainers, "--dataset", "digits", "--shots", 2, "--seeds", 1)
    targets = ("mnist5k", "inverse-3")
    run = checkout.runs(capfd, tmp_path, *args, "--quiet", "--targets", *targets, adapter=adapter, data=data)
    assert run.status == 0, run.err
    for trainer in trainers:
        source = json.loads((tmp_path / f"digits/{trainer}/tiny_2shots/seed1/results.json").read_text())
        for target, dataset in zip(targets, ("MNIST5k", "Digits-inverse-3")):
            path = tmp_path / f"shift/digits-{target}/{trainer}/tiny_2shots/seed1/results.json"
            result = json.loads(path.read_text())
            assert (result["dataset"], result["trained_on"]) == (dataset, "Digits")
            assert result["hyper_parameters"] == source["hyper_parameters"]
    assert (tmp_path / "shift/digits/compare.csv").is_file()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"dataset": "nonesuch"}, ("DATASET", "nonesuch", "digits, ")),
        ({"trainers": "Nonesuch"}, ("trainer", "'Nonesuch'", "TipXPP")),
        ({"corrections": "nonesuch"}, ("CORRECTIONS", "none, adapter, isoclip", "'nonesuch'")),
        ({"validation": "nonesuch"}, ("DATASET.VALIDATION", "full, few, paper, support", "'nonesuch'")),
        ({"cfg": "nonesuch"}, ("CFG", "nonesuch", "glyph")),
        ({"shots": "0"}, ("SHOTS", "at least 1", "'0'")),
        ({"shots": "-3"}, ("SHOTS", "at least 1", "'-3'")),
        ({"shots": "many"}, ("SHOTS", "at least 1", "'many'")),
        ({"seeds": "one"}, ("SEEDS", "'one'")),
        ({"data": "no/such/folder"}, ("no/such/folder", "DATA")),
    ],
)
def test_bad_arguments(checkout, tmp_path, capfd, change, words):
    args = {"trainers": "TipXPP", "dataset": "digits", "shots": 2, "seeds": 1, **change}
    run = checkout.runs(capfd, tmp_path / "output", **args)
    run.assert_refused(*words)
    assert not (tmp_path / "output").exists()


def test_bad_argument_of_a_script(checkout, complete, tmp_path):
    run = checkout.script("tipx_pp.sh", "nonesuch", 2, OUTPUT=tmp_path / "output")
    run.assert_refused("DATASET", "nonesuch", "colored_digits")
    assert not (tmp_path / "output").exists()


# Corrections, protocols, several datasets.


def test_corrections(checkout, tmp_path, capfd):
    args = ("--dataset", "digits", "--shots", 2, "--seeds", 1, "--quiet", "--trainers", "ZeroshotCLIP", "GDA", "GDAPP")
    run = checkout.runs(capfd, tmp_path, *args, "--corrections", "none", "adapter", "isoclip")
    assert run.status == 0, run.err
    results = {path.parent: json.loads(path.read_text()) for path in (tmp_path / "digits").rglob("results.json")}
    found = {
        (str(f.relative_to(tmp_path / "digits")), method_name(r), r["correction"], r["cfg"]) for f, r in results.items()
    }
    assert found == {
        ("ZeroshotCLIP/tiny_0shots/seed1", "ZeroshotCLIP", "none", "tiny"),
        ("GDA/tiny_2shots/seed1", "GDA", "none", "tiny"),
        ("GDAPP/tiny_2shots/seed1", "GDAPP", "adapter", "tiny"),
        ("GDA/tiny-isoclip_2shots/seed1", "GDA (isoclip)", "isoclip", "tiny"),
    }
    for row in ("GDA", "GDAPP", "GDA (isoclip)", "gain of GDAPP", "gain of GDA (isoclip)"):
        assert re.search(rf"^\| {re.escape(row)} +\|", run.out, re.MULTILINE), row
    seconds = {method_name(r): sum(r["seconds"].values()) for r in results.values()}
    times = run.out.split("seconds a run")[1]
    assert f"{seconds['GDAPP']:.2f}" in re.search(r"\| GDAPP +\|.*\|(.*)\|$", times, re.MULTILINE)[1]
    for correction in ("adapter", "isoclip"):
        assert f"correction {correction}: area" in run.out


def test_protocols_do_not_mix(checkout, tmp_path, capfd):
    args = ("--dataset", "digits", "--shots", 2, "--seeds", 1, "--quiet", "--trainers", "TipAdapter")
    for validation in ("", "few", "support"):
        run = checkout.runs(capfd, tmp_path, *args, validation=validation)
        assert run.status == 0, run.err
        words = {"": "val (full)", "few": "val (few)", "support": "support (leave-one-out)"}[validation]
        assert f"tuned on {words}" in run.out
    folders = {path.parent.parent.name for path in tmp_path.rglob("results.json")}
    assert folders == {"tiny_2shots", "tiny-few_2shots", "tiny-support_2shots"}


def test_a_dataset_that_fails_is_reported_at_the_end(checkout, tmp_path, capfd, assets):
    data = Path(shutil.copytree(assets.data, tmp_path / "data"))
    make_dataset(data, "mnist5k", seed=3)
    broken = make_dataset(data, "colored_digits", seed=4) / "images/0/test_0.png"
    broken.write_text("no image")
    names = ("colored_digits", "nonesuch", "digits", "mnist5k")
    args = ("--dataset", *names, "--shots", 2, "--seeds", 1, 2, "--quiet", "--trainers", "TipAdapter")
    run = checkout.runs(capfd, tmp_path, *args, "--keep-going", data=data)
    assert run.status == 1
    errors = [line for line in run.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "nonesuch" in errors[0] and str(broken) in errors[1]
    with open(tmp_path / "compare.csv", newline="") as file:
        rows = {row["dataset"]: float(row["mean"]) for row in csv.DictReader(file)}
    assert rows.keys() == {"Digits", "MNIST5k", "average of datasets"}
    assert rows["average of datasets"] == pytest.approx((rows["Digits"] + rows["MNIST5k"]) / 2, abs=1e-3)
    again = checkout.runs(capfd, tmp_path, *args, "--keep-going", data=data)
    assert again.status == 1 and "4 of 6 runs are finished already" in again.out
    alone = checkout.runs(capfd, tmp_path / "alone", *args, data=data)
    alone.assert_refused("nonesuch")


def test_a_new_cache_method_is_one_file_and_one_yaml(complete, assets, tmp_path):
    """CONTRIBUTING's example, in a checkout of its own: ++ variant, script and row of the table come by themselves."""
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    source = re.search(r"```python\n# trainers/(nearest_mean\.py)\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "checkout").mkdir()
    checkout = Checkout(tmp_path / "checkout", assets)
    (checkout.folder / "trainers").unlink()
    shutil.copytree(ROOT / "trainers", checkout.folder / "trainers", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout.folder / "trainers" / source[1]).write_text(source[2])
    configs = checkout.folder / "configs/trainers"
    (configs / "NearestMean").mkdir()
    shutil.copy(configs / "TipAdapter/tiny.yaml", configs / "NearestMean")

    output = tmp_path / "output"
    run = checkout.script("run.sh", "NearestMeanPP", "digits", 2, "tiny", OUTPUT=output, SEEDS=1)
    assert run.status == 0, run.err
    run = checkout.script("compare.sh", "digits", 2, OUTPUT=output, SEEDS=1, CORRECTIONS="none adapter isoclip")
    assert run.status == 0, run.err
    for row in ("NearestMean", "NearestMeanPP", "NearestMean (isoclip)", "gain of NearestMeanPP"):
        assert re.search(rf"^\| {re.escape(row)} +\|", run.out, re.MULTILINE), row
    results = json.loads((output / "digits/NearestMeanPP/tiny_2shots/seed1/results.json").read_text())
    assert results["correction"] == "adapter" and results["overlap"]["area"] > 0
    plain = json.loads((output / "digits/NearestMean/tiny_2shots/seed1/results.json").read_text())
    assert plain["correction"] == "none" and plain["overlap"] != results["overlap"]


# Without Python: stand-ins for the interpreter say what they were called with.


@pytest.fixture
def stand_in(tmp_path):
    """stand_in(has): a PATH with a `python3` that has the modules in `has`, and says what else it is asked to do."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("bash", "dirname", "cat", "cksum", "mkdir", "sed", "cp", "chmod"):
        (folder / tool).symlink_to(shutil.which(tool))

    def make(has, name="python3"):
        path = folder / name
        path.write_text(
            f"""#!{shutil.which("bash")}
case "$1" in
    -) shift; for module; do case " {has} " in *" $module "*) ;; *) exit 1 ;; esac; done ;;
    --version) echo "Python 3.11.0" ;;
    -m) if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; else echo "call: $*"; fi ;;
    *) printf 'call:'; printf ' [%s]' "$@"; echo ;;
esac
"""
        )
        path.chmod(0o755)
        return str(folder)

    return make


def test_every_trainer_has_a_script():
    importlib.import_module("imo.trainers")
    registered = {name: TRAINER_REGISTRY.get(name) for name in TRAINER_REGISTRY.registered_names()}
    ours = {name for name, cls in registered.items() if cls.__module__.startswith("imo.trainers.")}
    assert set(TRAINERS.values()) == ours
    assert {path.name for path in (ROOT / "scripts").glob("*.sh")} == {
        *SCRIPTS,
        "_env.sh",
        "overlap.sh",
        "report.sh",
        "test.sh",
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_runs(checkout, stand_in, script):
    path = stand_in(" ".join(NEEDED))
    zero_shot = script.startswith("zeroshot")
    args = {
        "run.sh": ("Mine", "digits", 2),
        "compare_all.sh": (2,),
        "shift.sh": ("TipX TipXPP", 2, "digits", "mnist5k"),
    }.get(script, ("digits",) if zero_shot else ("digits", 2))
    environment = {
        "SEEDS": "4 5",
        "DATA": "my data",
        "OUTPUT": "some where",
        "ADAPTER": "an adapter",
        "BACKBONE": "a.pt",
        "VALIDATION": "support",
    }
    run = checkout.script(script, *args, path=path, **environment, CFG="")
    assert run.status == 0, run.err
    trainers = {"compare.sh": "", "compare_all.sh": "", "shift.sh": "[TipX] [TipXPP] ", "run.sh": "[Mine] "}
    trainers = trainers.get(script, f"[{TRAINERS.get(script)}] ")
    standard = (
        "imagenet caltech101 oxford_pets stanford_cars oxford_flowers food101 fgvc_aircraft sun397 dtd eurosat ucf101"
    )
    datasets = [f"[{name}]" for name in (standard.split() if script == "compare_all.sh" else ["digits"])]
    tail = {
        "compare.sh": " [--quiet]",
        "compare_all.sh": " [--quiet] [--keep-going]",
        "shift.sh": " [--quiet] [--targets] [mnist5k]",
    }.get(script, "")
    assert run.out.strip().endswith(
        f"[{checkout.folder}/scripts/runs.py] [--trainers] {trainers}[--corrections] [none] "
        f"{'[adapter] ' if 'compare' in script else ''}[--dataset] {' '.join(datasets)} "
        f"[--shots] [{0 if zero_shot else 2}] [--cfg] [] [--seeds] [4] [5] [--validation] [support] [--data] [my data] "
        f"[--output] [some where] [--adapter] [an adapter] [--backbone] [a.pt]{tail}"
    )


@pytest.mark.parametrize(
    "script", ("compare.sh", "compare_all.sh", "run.sh", "tipx_pp.sh", "shift.sh", "zeroshot_clip.sh")
)
def test_usage(checkout, stand_in, script):
    path = stand_in("")
    for args, status in (((), 2), (("--help",), 0)):
        run = checkout.script(script, *args, path=path)
        assert run.status == status
        assert f"bash scripts/{script}" in run.out


def test_no_interpreter(checkout, stand_in):
    run = checkout.script("tipx_pp.sh", "digits", 2, path=stand_in("numpy"))
    run.assert_refused("no Python 3.9 to 3.13", "install")


def test_venv_is_filled_once(stand_in, assets, tmp_path):
    (tmp_path / "checkout").mkdir()
    checkout = Checkout(tmp_path / "checkout", assets)
    path = stand_in("venv")
    install = f"call: -m pip install --quiet --disable-pip-version-check -e {checkout.folder}[demo,test]"
    outputs = [checkout.script("tipx_pp.sh", "digits", 2, path=path).out for _ in range(2)]
    assert [output.count(install) for output in outputs] == [1, 0]
    assert all("[--dataset] [digits]" in output for output in outputs)
    assert "Filling .venv once" in outputs[0] and "Filling" not in outputs[1]
    with open(checkout.folder / "setup.py", "a") as file:
        file.write("# another dependency\n")
    assert checkout.script("tipx_pp.sh", "digits", 2, path=path).out.count(install) == 1
