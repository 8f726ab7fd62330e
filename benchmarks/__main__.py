"""Time the fast paths against the naive procedure, in one run on this machine.

    python -m benchmarks                    # a validation set of 1,000 images, 100 classes, 16 shots
    python -m benchmarks --size imagenet    # 50,000 images, 1,000 classes, 16 shots
    python -m benchmarks --size paper       # 11 datasets x 5 shots x 3 seeds x 4 methods
    python -m benchmarks.large              # a slice of the search at ImageNet-21k's size, see docs/SCALING.md

A naive search would take days to years: one of its settings is timed, on a part of the images where they are many, and
scaled. `bound` is the time of what no procedure can do without: the matrix product with the keys, or the model alone.
"""

import argparse
import json
import platform
import sys

import torch
from tabulate import tabulate

from imo.compat.bridge import ensure_dassl
from imo.errors import InputError
from imo.files import atomic_path
from imo.results import versions

SEARCHES = {"small": (1000, 100, 16), "imagenet": (50_000, 1000, 16)}  # images, classes, shots
BACKBONES = {"small": ("glyph", 500, 3), "imagenet": ("ViT-B/16", 10, 1)}  # name, images to encode, turns
HEADER = ("work", "ours", "naive", "ratio", "bound", "peak memory")


def parse(argv=None):
    p = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--size", choices=(*SEARCHES, "paper"), default="small")
    p.add_argument("--scale", type=float, default=1.0, help="shrink images and classes, 0.01 for a trial")
    p.add_argument("--json", help="file for the figures in seconds and bytes (default: output/benchmark_<size>.json)")
    return p.parse_args(argv)


def lines(size, scale):
    """The lines of the table, as they are measured."""
    if not 0 < scale <= 1:
        raise InputError(f"--scale: expected a number above 0 and at most 1, got {scale}")
    ensure_dassl()
    from benchmarks import encoding, paper, searching

    if size == "paper":
        yield from paper.lines(scale)
        return
    rows, classes, shots = SEARCHES[size]
    yield from searching.lines(max(1, round(rows * scale)), max(2, round(classes * scale)), shots)
    backbone, images, turns = BACKBONES[size]
    yield from encoding.lines(backbone, max(2, round(images * scale)), turns)
    yield from encoding.reading(max(2, round(10 * shots * classes * scale)))


def main(argv=None):
    args = parse(argv)
    try:
        measured = []
        for line in lines(args.size, args.scale):
            print(f"measured: {line.work}", file=sys.stderr)
            measured.append(line)
        path = args.json or f"output/benchmark_{args.size}.json"
        machine = {"threads": torch.get_num_threads(), "machine": platform.machine(), "versions": versions()}
        with atomic_path(path) as temporary:
            content = {"size": args.size, "scale": args.scale, **machine, "lines": [line.values() for line in measured]}
            temporary.write_text(json.dumps(content, indent=2) + "\n")
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"size {args.size}, scale {args.scale:g}, {torch.get_num_threads()} threads\n")
    print(tabulate([line.cells() for line in measured], HEADER, "github", disable_numparse=True))
    print(f"\nWritten to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
