"""Measures the overlap of a dataset's images under each correction, among themselves and with class texts.

Features come from a trainer that is built and not trained, by way of the store.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from imo.errors import visible
from imo.measure import analysis
from imo.measure.analysis import analyse_images, analyse_texts
from imo.measure.overlap import OverlapReport
from imo.results import versions
from imo.trainers.base.corrections import ENCODERS
from imo.workbench import train
from imo.workbench.configs import dataset_config, trainer_config
from imo.workbench.plan import dataset_options, image_options
from imo.workbench.report.analyses import Analysis, ClassOverlap, Confused, Correction, Measured

# isort: split
from dassl.engine import build_trainer

SHOTS = "16"  # of the support set on which IsoCLIP's ranges are chosen


def build(args: argparse.Namespace, correction: str) -> Any:
    """A `MethodTrainer` under a correction, built and not trained."""
    config = trainer_config("TipAdapter", args.cfg or dataset_options(args.dataset).CFG)
    argv = ["--root", args.data, "--seed", "1", "--trainer", "TipAdapter", "--config-file", str(config)]
    argv += ["--dataset-config-file", str(dataset_config(args.dataset)), "DATASET.NUM_SHOTS", SHOTS]
    argv += image_options(args.output, correction, args.adapter, args.backbone)
    return build_trainer(train.setup_cfg(train.parser().parse_args(argv)))


def measure(args: argparse.Namespace) -> Analysis:
    """Measure what the arguments of `imo overlap` ask for; under all corrections there are where they name none."""
    found: dict[str, Correction] = {}
    first = None
    for correction in args.corrections or list(ENCODERS):
        with contextlib.redirect_stdout(io.StringIO()):  # what would be its log
            trainer = build(args, correction)
            queries = trainer.data.queries("test") if args.split == "test" else trainer.task.tuning
            features, labels = queries.corrected, queries.targets
        images, texts = analyse_images(features, labels), analyse_texts(features, labels, trainer.text.weights)
        first = first or (images, texts)
        names = [visible(name) for name in trainer.dm.dataset.classnames]
        found[correction] = Correction(
            image=named(images, names, first[0]),
            text=named(texts, names, first[1]),
            adapter_sha256=trainer.adapter_sha256,
        )
    return Analysis(
        dataset=trainer.trained_on,
        data=trainer.digests["test"],
        split=args.split if args.split == "test" else str(trainer.protocol),
        backbone=trainer.cfg.MODEL.BACKBONE.NAME,
        backbone_sha256=trainer.backbone_sha256,
        templates=list(trainer.prompts.templates),
        corrections=found,
        versions=versions(),
    )


def named(found: analysis.Analysis, classnames: Sequence[str], first: analysis.Analysis) -> Measured[Any]:
    """With names in place of labels, and the change from the analysis under the first correction."""
    return Measured(
        report=found.report,
        added_separation=analysis.change(first, found),
        paired=found.paired,
        unpaired=found.unpaired,
        classes=[ClassOverlap(classnames[c], n, area, separation) for c, n, area, separation in found.classes],
        confused=[Confused(classnames[one], classnames[other], share) for one, other, share in found.confused],
    )


def table(found: Analysis) -> str:
    """What is printed."""
    lines, first = [], next(iter(found.corrections))
    for name, correction in found.corrections.items():
        for kind, part in (("image", correction.image), ("text", correction.text)):
            report = part.report
            change = "" if name == first else part.exceedance_change()
            numbers = [f"{value:.3f}" for value in (report.area, report.paired, report.unpaired)]
            spread = (report.within_variance, report.between_variance) if isinstance(report, OverlapReport) else ()
            variances = [f"{value:.3f}" for value in spread] or ["", ""]
            worst = max(part.classes, key=lambda of: of.area)
            confused = ", ".join(f"{pair.name} → {pair.other} {pair.share:.0%}" for pair in part.confused[:2])
            lines.append([f"image-{kind}", name, *numbers, part.exceedance(), change, *variances, worst.name, confused])
    header = [
        "pairs", "correction", "area", "paired", "unpaired", "P(unpaired > paired)", "its change", "within", "between",
        "class of most overlap", "most confused",
    ]  # fmt: skip
    return (
        f"{found.dataset}: cosine similarities of {report.images} images ({found.split}), backbone {found.backbone}; "
        f"area over 200 bins of [-1, 1], 95 % intervals over other draws of the images\n\n"
        + str(tabulate(lines, header, "github", disable_numparse=True))
    )
