"""Time the fast paths against the naive procedure, in one run on this machine.

    python -m benchmarks                      # search at N=1000, M=1600, C=100, d=512
    python -m benchmarks --rows 200 --classes 10 --shots 4

A naive search would take days: some of its settings are timed, and their mean is scaled to the grid.
"""

import argparse
import time

import torch
import torch.nn.functional as F
from tabulate import tabulate

from benchmarks.naive import evaluate_setting, kl_rows
from imo import PAPER_GRID, CacheModel, class_probabilities, kl_divergence, search


def seconds(function, repeat=1):
    """Seconds per call after one call to warm up."""
    function()
    begun = time.perf_counter()
    for _ in range(repeat):
        function()
    return (time.perf_counter() - begun) / repeat


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=1000, help="validation images")
    p.add_argument("--classes", type=int, default=100)
    p.add_argument("--shots", type=int, default=16)
    p.add_argument("--dim", type=int, default=512)
    p.add_argument("--settings", type=int, default=20, help="settings of the naive search that are timed")
    args = p.parse_args()

    generator = torch.Generator().manual_seed(0)
    means = torch.randn(args.classes, args.dim, generator=generator)
    labels = torch.arange(args.classes).repeat_interleave(args.shots)
    targets = torch.randint(args.classes, (args.rows,), generator=generator)
    noise = torch.randn(len(labels) + args.rows, args.dim, generator=generator)
    keys = F.normalize(means[labels] + 3 * noise[: len(labels)], dim=1)
    queries = F.normalize(means[targets] + 3 * noise[len(labels) :], dim=1)
    classifier = F.normalize(means + 2 * torch.randn(means.shape, generator=generator), dim=1)
    zero_shot = 100 * queries @ classifier.T
    query_probs, key_probs = (class_probabilities(x, classifier) for x in (queries, keys))
    one_hot = F.one_hot(labels, args.classes).float()
    cache = CacheModel(keys, labels, args.classes)
    prior = -kl_divergence(query_probs, key_probs) @ one_hot

    table = []
    for name, kl_scores in (("search, Tip-Adapter grid", None), ("search, Tip-X grid", prior)):
        gammas = 1 if kl_scores is None else len(PAPER_GRID.gammas)
        settings = len(PAPER_GRID.alphas) * len(PAPER_GRID.betas) * gammas

        def ours(kl_scores=kl_scores):
            return search(zero_shot, cache, queries, targets, kl_scores=kl_scores)

        def naive(kl_scores=kl_scores):
            return evaluate_setting(zero_shot, queries, keys, one_hot, targets, 1.0, 5.0, 2.0, kl_scores)

        table.append((f"{name} ({settings:,} settings)", seconds(ours), seconds(naive, args.settings) * settings))
    table.append(
        (
            "KL affinity",
            seconds(lambda: kl_divergence(query_probs, key_probs)),
            seconds(lambda: kl_rows(query_probs, key_probs)),
        )
    )
    print(
        f"{args.rows} rows, {len(labels)} keys, {args.classes} classes, d {args.dim}, {torch.get_num_threads()} threads"
    )
    rows = [(work, f"{fast:.3g} s", f"{slow:.3g} s", f"{slow / fast:,.0f}") for work, fast, slow in table]
    print(tabulate(rows, ["work", "ours", "naive", "ratio"], "github"))


if __name__ == "__main__":
    main()
