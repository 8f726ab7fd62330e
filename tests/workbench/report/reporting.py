"""Results as runs leave them."""

import json

import msgspec
import numpy as np

from imo.measure.overlap import OverlapReport
from imo.protocol import Protocol
from imo.results import Result, write_result
from imo.workbench.report.load import Run

VALIDATION = Protocol("full", "val")
NOTHING = VALIDATION.nothing()
BASES = {"TipXPP": "TipX"}
ISOCLIP = {"base": "TipX", "correction": "isoclip"}


def make_run(method="TipX", shots=4, seed=1, accuracy=50.0, dataset="Digits", **more):
    """A run; with `base`, or a method of BASES, one that is corrected by the adapter."""
    base = more.pop("base", BASES.get(method))
    correction = more.pop("correction", "adapter" if base else "none")
    protocol = more.pop("protocol", VALIDATION)
    common = {
        "folder": "x", "trainer": method.split()[0], "method": method, "base": base, "correction": correction,
        "cfg": "glyph", "dataset": dataset, "trained_on": dataset, "backbone": "glyph", "backbone_sha256": "b" * 64,
        "adapter_sha256": "a" * 64 if correction == "adapter" else None, "shots": shots, "seed": seed,
        "accuracy": accuracy, "macro_f1": 45.0, "n_test": 80, "protocol": protocol, "tuned_on": str(protocol),
        "hyper_parameters": {"alpha": 1.5}, "val_accuracy": 60.0, "settings": "0123456789abcdef",
        "versions": {"torch": "2.1"},
    }  # fmt: skip
    return Run(**{**common, **more})


def overlap_of(area, within=0.4, between=0.3):
    return OverlapReport(
        area=area, separation=1 - area / 3, interval=(0.7, 0.9), resolution=0.0, paired=0.6, unpaired=0.3, images=40,
        within_variance=within, between_variance=between,
    )  # fmt: skip


def make_study():
    """Two datasets, TipX and TipXPP, shots 1 and 4, seeds 1 and 2, zero-shot; gains +2 and -1 points on average."""
    runs = [make_run("ZeroshotCLIP", 0, 1, 40.0, dataset, protocol=NOTHING) for dataset in ("Birds", "Cars")]
    for dataset, gain, areas in (("Birds", 2.0, (0.5, 0.4)), ("Cars", -1.0, (0.3, 0.31))):
        for shots in (1, 4):
            for seed in (1, 2):
                base = 50.0 + shots + seed
                for method, accuracy, area in (
                    ("TipX", base, areas[0]),
                    ("TipXPP", base + gain + 0.2 * seed, areas[1]),
                ):
                    runs.append(make_run(method, shots, seed, accuracy, dataset, overlap=overlap_of(area)))
    return runs


SETS = (
    "ImageNet", "Caltech101", "OxfordPets", "StanfordCars", "OxfordFlowers", "Food101", "FGVCAircraft", "SUN397",
    "DescribableTextures", "EuroSAT", "UCF101",
)  # fmt: skip
_CACHE = ("TipX", "TipAdapter", "APE", "GDA", "ProKeR")
_FREE = [(name, None, "none") for name in _CACHE] + [(f"{name}PP", name, "adapter") for name in _CACHE]
_FREE = sorted(_FREE, key=lambda method: _CACHE.index(method[1] or method[0]))
_REST = [(f"{name} (isoclip)", name, "isoclip") for name in _CACHE] + [
    (name, None, "none")
    for name in ("LinearProbe", "CLIPAdapter", "TaskRes", "LPPlusPlus", "CLAP", "CoOp", "CoCoOp", "CALIP", "X", "Y")
]


def make_many(datasets, methods, shots=(1, 2, 4, 8, 16), seeds=(1, 2)):
    """Runs of as many datasets and methods, with corrections among them, and of two methods without shots."""
    rng = np.random.default_rng(0)
    runs = []
    for dataset in SETS[:datasets]:
        start, less = rng.uniform(30, 70), {"none": 0.0, "adapter": rng.normal(0.06, 0.05), "isoclip": 0.005}
        for i, name in enumerate(("ZeroshotCLIP", "ZeroshotCLIP2")):
            runs.append(make_run(name, 0, 1, start + i, dataset, protocol=NOTHING))
        for i, (name, base, correction) in enumerate((_FREE + _REST)[:methods]):
            for k in shots:
                for seed in seeds:
                    accuracy = start + i % 7 * k**0.5 + 40 * less[correction] + rng.normal()
                    overlap = overlap_of(0.4 - less[correction])
                    kind = {"base": base, "correction": correction, "overlap": overlap}
                    runs.append(make_run(name, k, seed, min(accuracy, 100.0), dataset, **kind))
    return runs


def result_of(run):
    """The result without its place."""
    fields = msgspec.structs.asdict(run)
    del fields["folder"]
    return Result(**fields)


def folder_of(run):
    """Where a run is written, below the output folder."""
    place = run.dataset if run.trained_on == run.dataset else f"shift/{run.trained_on}-{run.dataset}"
    place = "".join(c if c.isalnum() or c in "/-" else "_" for c in place)
    return f"{place}/{run.trainer}-{run.correction}/glyph_{run.shots}shots/seed{run.seed}"


def write_study(root, runs):
    for run in runs:
        write_result(root / folder_of(run), result_of(run))
    return root


def make_analysis(dataset="Birds", corrections=("none", "adapter")):
    """The content of an overlap.json."""
    report = {
        "area": 0.5, "separation": 0.8, "interval": [0.75, 0.84], "resolution": 0.0, "paired": 0.6, "unpaired": 0.2,
        "images": 40,
    }  # fmt: skip
    text = {
        "report": report,
        "added_separation": [0.1, 0.05, 0.15],
        "paired": [0.0] * 150 + [0.04] * 25 + [0.0] * 25,
        "unpaired": [0.0] * 125 + [0.02] * 50 + [0.0] * 25,
        "classes": [{"class": "owl", "images": 4, "area": 0.4, "separation": 0.7}],
        "confused": [{"class": "owl", "with": "hawk", "share": 0.25}],
    }
    image = {**text, "report": {**report, "within_variance": 0.4, "between_variance": 0.3}}
    return {
        "schema_version": 1, "dataset": dataset, "data": "", "split": "val (full)", "backbone": "glyph",
        "backbone_sha256": "b", "templates": ["a photo of a {}."], "versions": {"torch": "2.1"},
        "corrections": {name: {"image": image, "text": text, "adapter_sha256": None} for name in corrections},
    }  # fmt: skip


def write_analysis(root, content):
    path = root / "overlap" / "birds" / "overlap.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
