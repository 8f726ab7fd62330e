"""Measures the overlap of a dataset's images under each correction, among themselves and with class texts.

`scripts/overlap.sh` calls it. Features come from a trainer that is built and not trained, by way of the store.
"""

import argparse
import contextlib
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

SHOTS = "16"  # of the support set on which IsoCLIP's ranges are chosen


def parse(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--dataset", required=True, help="a file of configs/datasets, without .yaml")
    p.add_argument("--cfg", default="", help="a file of configs/trainers/TipAdapter; by default the dataset's")
    p.add_argument("--split", default="val", choices=("val", "test"), help="images to measure")
    p.add_argument("--corrections", nargs="*", default=[], help="by default all there are")
    p.add_argument("--data", required=True)
    p.add_argument("--output", required=True)
    p.add_argument("--adapter", default="")
    p.add_argument("--backbone", default="")
    return p.parse_args(argv)


def build(args, correction):
    """A trainer under a correction, built and not trained."""
    from imo.workbench import train
    from imo.workbench.plan import dataset_options, trainer_yaml, yaml_file

    dataset = yaml_file("datasets", args.dataset)
    config = trainer_yaml("TipAdapter", args.cfg or dataset_options(dataset).CFG)
    argv = ["--root", args.data, "--seed", "1", "--trainer", "TipAdapter", "--config-file", str(config)]
    argv += ["--dataset-config-file", str(dataset), "DATASET.NUM_SHOTS", SHOTS, "IMO.CORRECTION", correction]
    argv += ["IMO.STORE", str(Path(args.output) / "features")]
    argv += ["IMO.ADAPTER", args.adapter] if args.adapter else []
    argv += ["MODEL.BACKBONE.NAME", args.backbone] if args.backbone else []
    trainer = train.build_trainer(train.setup_cfg(train.parser().parse_args(argv)))
    trainer.is_testing = args.split == "test"
    return trainer


def named(analysis, classnames, first):
    """An analysis as JSON values, with names in place of labels; `first` is that of the first correction."""
    from imo.measure.analysis import change

    return {
        "report": asdict(analysis.report),
        "added_separation": change(first, analysis),
        "paired": analysis.paired,
        "unpaired": analysis.unpaired,
        "classes": [
            {"class": classnames[label], "images": images, "area": area, "separation": separation}
            for label, images, area, separation in analysis.classes
        ],
        "confused": [
            {"class": classnames[label], "with": classnames[other], "share": share}
            for label, other, share in analysis.confused
        ],
    }


def measure(args):
    """The content of overlap.json."""
    from imo.measure.analysis import analyse_images, analyse_texts
    from imo.results import versions
    from imo.trainers.base.corrections import ENCODERS

    found, first = {}, None
    for correction in args.corrections or ENCODERS:
        with contextlib.redirect_stdout(io.StringIO()):  # what would be its log
            trainer = build(args, correction)
            features, labels = trainer.corrected_features(args.split), trainer.targets(args.split)
        analyses = analyse_images(features, labels), analyse_texts(features, labels, trainer.classifier)
        first = first or analyses
        found[correction] = {
            kind: named(analysis, trainer.dm.dataset.classnames, reference)
            for kind, analysis, reference in zip(("image", "text"), analyses, first)
        }
        found[correction]["adapter_sha256"] = trainer.adapter_sha256
    split = args.split if args.split == "test" else trainer.tuned_on
    return {
        "schema_version": 1,
        "dataset": trainer.cfg.DATASET.NAME,
        "split": split,
        "backbone": trainer.cfg.MODEL.BACKBONE.NAME,
        "backbone_sha256": trainer.backbone_sha256,
        "templates": list(trainer.templates),
        "corrections": found,
        "versions": versions(),
    }


def table(content):
    """What is printed."""
    lines, first = [], next(iter(content["corrections"].values()))
    for correction, kinds in content["corrections"].items():
        for kind in ("image", "text"):
            report = kinds[kind]["report"]
            low, high = report["interval"]
            beyond = f"{1 - report['separation']:.3f} [{1 - high:.3f}, {1 - low:.3f}]"
            added, least, most = kinds[kind]["added_separation"]
            change = "" if kinds is first else f"{-added:+.3f} [{-most:+.3f}, {-least:+.3f}]"
            numbers = [f"{report[key]:.3f}" for key in ("area", "paired", "unpaired")]
            worst = max(kinds[kind]["classes"], key=lambda part: part["area"])
            variances = [f"{report[f'{key}_variance']:.3f}" if kind == "image" else "" for key in ("within", "between")]
            confused = ", ".join(f"{p['class']} → {p['with']} {p['share']:.0%}" for p in kinds[kind]["confused"][:2])
            lines.append([f"image-{kind}", correction, *numbers, beyond, change, *variances, worst["class"], confused])
    header = [
        "pairs", "correction", "area", "paired", "unpaired", "P(unpaired > paired)", "its change", "within", "between",
        "class of most overlap", "most confused",
    ]  # fmt: skip
    images = report["images"]
    return (
        f"{content['dataset']}: cosine similarities of {images} images ({content['split']}), backbone "
        f"{content['backbone']}; area over 200 bins of [-1, 1], 95 % intervals over other draws of the images\n\n"
        + tabulate(lines, header, "github", disable_numparse=True)
    )


def main(argv=None):
    args = parse(argv)
    from imo.errors import InputError
    from imo.files import atomic_path
    from imo.workbench import train

    folder = Path(args.output) / "overlap" / args.dataset
    try:
        from imo.workbench.report.figures import histograms, save

        content = measure(args)
        for kind in ("image", "text"):
            save(histograms(content, kind), folder / kind)
        with atomic_path(folder / "overlap.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
    except (InputError, OSError) as error:
        print(f"error: {train.explain(error)}", file=sys.stderr)
        return 2
    with contextlib.suppress(BrokenPipeError):
        print("\n" + table(content))
        print(f"\nWritten to {folder}: overlap.json, image.png and .svg, text.png and .svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
