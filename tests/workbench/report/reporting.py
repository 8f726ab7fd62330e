"""Results as runs leave them."""

import json

from imo.results import write_results

VERSIONS = {"torch": "2.1"}


def make_run(trainer="TipX", shots=4, seed=1, accuracy=50.0, dataset="Digits", **more):
    corrected = trainer.endswith("PP")
    return {
        "trainer": trainer, "dataset": dataset, "cfg": "glyph", "backbone": "glyph", "backbone_sha256": "b" * 64,
        "adapter_sha256": "a" * 64 if corrected else None, "correction": "adapter" if corrected else "none",
        "shots": shots, "seed": seed, "accuracy": accuracy, "macro_f1": 45.0, "n_test": 80,
        "tuned_on": "val (full)", "hyper_parameters": {"alpha": 1.5}, "val_accuracy": 60.0, "seconds": {},
        "images_encoded": {}, "settings": "0123456789abcdef", "trained_on": dataset, "versions": VERSIONS,
        "folder": "x",
        **more,
    }  # fmt: skip


def overlap_of(area, within=0.4, between=0.3):
    return {
        "area": area, "separation": 1 - area / 3, "paired": 0.6, "unpaired": 0.3, "within_variance": within,
        "between_variance": between, "images": 40,
    }  # fmt: skip


def make_study():
    """Two datasets, TipX and TipXPP, shots 1 and 4, seeds 1 and 2, zero-shot; gains +2 and -1 points on average."""
    runs = [make_run("ZeroshotCLIP", 0, 1, 40.0, dataset, tuned_on=None) for dataset in ("Birds", "Cars")]
    for dataset, gain, areas in (("Birds", 2.0, (0.5, 0.4)), ("Cars", -1.0, (0.3, 0.31))):
        for shots in (1, 4):
            for seed in (1, 2):
                base = 50.0 + shots + seed
                for trainer, accuracy, area in (
                    ("TipX", base, areas[0]),
                    ("TipXPP", base + gain + 0.2 * seed, areas[1]),
                ):
                    runs.append(make_run(trainer, shots, seed, accuracy, dataset, overlap=overlap_of(area)))
    return runs


def write_study(root, runs):
    for run in runs:
        place = run["dataset"] if run["trained_on"] == run["dataset"] else f"shift/{run['trained_on']}-{run['dataset']}"
        name = f"{run['trainer']}-{run['correction']}/glyph_{run['shots']}shots/seed{run['seed']}"
        folder = root / "".join(c if c.isalnum() or c in "/-" else "_" for c in place) / name
        write_results(folder, {k: v for k, v in run.items() if k not in ("folder", "versions")})
    return root


def make_analysis(dataset="Birds"):
    kinds = {
        "report": {
            "area": 0.5, "separation": 0.8, "interval": [0.75, 0.84], "resolution": 0.0, "paired": 0.6, "unpaired": 0.2,
            "images": 40,
        },
        "added_separation": [0.1, 0.05, 0.15],
        "paired": [0.0] * 150 + [0.04] * 25 + [0.0] * 25,
        "unpaired": [0.0] * 125 + [0.02] * 50 + [0.0] * 25,
        "classes": [{"class": "owl", "images": 4, "area": 0.4, "separation": 0.7}],
        "confused": [{"class": "owl", "with": "hawk", "share": 0.25}],
    }  # fmt: skip
    corrections = {name: {"image": kinds, "text": kinds} for name in ("none", "adapter")}
    return {"schema_version": 1, "dataset": dataset, "split": "val (full)", "corrections": corrections}


def write_analysis(root, content):
    path = root / "overlap" / "birds" / "overlap.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
