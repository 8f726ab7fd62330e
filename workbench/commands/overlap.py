"""Intra-modal overlap of a dataset under each correction: measures, histograms, confused classes.

    imo overlap --dataset colored_digits
    imo overlap --dataset dtd --split test --corrections none adapter

The table is printed; overlap.json and pictures go to OUTPUT/overlap/<dataset>, where `imo report` finds them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imo.workbench.options import FEATURES, add_place_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, metavar="NAME", help="a file of configs/datasets, without .yaml")
    parser.add_argument("--cfg", default="", help="a config of TipAdapter; by default the dataset's DATASET.CFG")
    parser.add_argument("--split", default="val", choices=("val", "test"), help="images to measure")
    parser.add_argument("--corrections", nargs="*", default=[], help="by default all there are")
    add_place_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imo.workbench.overlap import measure, table
    from imo.workbench.report.analyses import refuse_other_data, write_analysis
    from imo.workbench.report.figures import histograms
    from imo.workbench.report.panels import save

    found, folder = measure(args), Path(args.output) / "overlap" / args.dataset
    refuse_other_data(folder, found)
    save(histograms(found, "image"), folder / "image")
    save(histograms(found, "text"), folder / "text")
    write_analysis(folder, found)
    print("\n" + table(found))
    print(f"\nWritten to {folder}: overlap.json, image.png and .svg, text.png and .svg")
    return 0


def kept(args: argparse.Namespace) -> str:
    return f"{FEATURES} are kept in {Path(args.output) / 'features'}; the same command goes on from them"
