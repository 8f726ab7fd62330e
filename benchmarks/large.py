"""The search at ImageNet-21k's size, on a slice of its validation rows: what takes time, what takes memory.

    OMP_NUM_THREADS=1 python -m benchmarks.large            # 128 rows, 21,841 classes, 16 shots

Times are of the processor, on one thread. Rows do not depend on each other, so that a slice's time times the number of
slices is the whole's. Features are drawn: a part that all images share, one that a class shares, and noise, so that
cosines are about 0.5 between classes and 0.57 within one. docs/SCALING.md says what follows.
"""

import argparse
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tabulate import tabulate

from benchmarks._measure import duration, seconds_and_peak
from imo import PAPER_GRID, CacheModel, class_probabilities, search
from imo.classify.kl import KL_TEMPERATURE
from imo.classify.search import Grid

VALIDATION = 4 * 21_841  # rows of a validation set of CoOp's size, min(shots, 4) a class
BLOCK = 4096  # keys in memory at a time


@dataclass
class Slice:
    """A few queries and all keys and classes."""

    queries: torch.Tensor
    targets: torch.Tensor
    keys: torch.Tensor
    labels: torch.Tensor
    classifier: torch.Tensor

    @classmethod
    def draw(cls, rows, classes, shots, dim=512, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def noise(*shape):
            return torch.randn(*shape, generator=generator) / dim**0.5

        common, means = noise(dim), noise(classes, dim)

        def features(of):
            parts = [0.71 * common + 0.27 * means[block] + 0.65 * noise(len(block), dim) for block in of.split(BLOCK)]
            return F.normalize(torch.cat(parts), dim=1)

        labels = torch.arange(classes).repeat_interleave(shots)
        targets = torch.randint(classes, (rows,), generator=generator)
        classifier = F.normalize(noise(dim) + 0.4 * means + 0.7 * noise(classes, dim), dim=1)
        return cls(features(targets), targets, features(labels), labels, classifier)

    def zero_shot(self):
        return 100 * self.queries @ self.classifier.T


class NearestKeys(CacheModel):
    """A cache in which a query sees its k nearest keys alone: all others are put out of reach."""

    nearest = 1

    def affinity(self, queries):
        affinity = super().affinity(queries)
        least = affinity.topk(min(self.nearest, affinity.shape[1]), dim=1).values[:, -1:]
        return affinity.masked_fill(affinity < least, -1000.0)


class KeyDivergence:
    """`KL(query_i || key_j)` of Tip-X's class distributions without the keys' distributions, of M x C numbers.

    log q_j = F_j W^T / t - n_j with n_j a logarithm of a sum, so that the sum over classes of p_i log q_j is
    (p_i W) F_j / t - n_j: a product over d features in place of C classes, and one number a key to keep in place of C.
    W is centred, which changes no softmax, so that all terms are small.

    Args:
        keys: (M, d) normalised.
        classifier: (C, d) normalised.
        temperature: of the softmax.
    """

    def __init__(self, keys, classifier, temperature=KL_TEMPERATURE):
        self.keys, self.classifier = keys, (classifier - classifier.mean(0)) / temperature
        self.uniform = torch.log(torch.tensor(float(len(classifier))))
        products = (part @ self.classifier.T for part in keys.split(512))
        self.normaliser = torch.cat([torch.logsumexp(product, dim=1) for product in products]) - self.uniform

    def __call__(self, queries):
        """(N, d) normalised -> (N, m) for each block of keys."""
        probabilities = torch.softmax(queries @ self.classifier.T, dim=1)
        negative_entropy = (probabilities * (probabilities.log() + self.uniform)).sum(1, keepdim=True)
        expected = probabilities @ self.classifier  # (N, d): the classifier that a query expects
        for block, normaliser in zip(self.keys.split(BLOCK), self.normaliser.split(BLOCK)):
            yield negative_entropy - expected @ block.T + normaliser


def nearest_alone(data, cache, exact, zero_shot, sizes):
    """What a search over the nearest keys alone finds: (k, setting, accuracy, largest error of a grid point)."""
    for k in sizes:
        nearest = NearestKeys(data.keys, data.labels, cache.num_classes)
        nearest.nearest = k
        found = search(zero_shot, nearest, data.queries, data.targets)
        error = abs(found.correct - exact.correct).max() * 100 / len(data.queries)
        yield k, f"{found.alpha:.3g}, {found.beta:.3g}", f"{found.accuracy:.1f}", f"{error:.1f}"


def processor_seconds_and_peak(work):
    """As `seconds_and_peak`, which runs work as often as it likes; other programs on the machine do not count."""
    taken = []

    def once():
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)

    _, peak = seconds_and_peak(once)
    return min(taken), peak


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=128)
    p.add_argument("--classes", type=int, default=21_841)
    p.add_argument("--shots", type=int, default=16)
    p.add_argument("--gammas", type=int, default=5, help="values of gamma that are timed, of 50")
    args = p.parse_args()

    data = Slice.draw(args.rows, args.classes, args.shots)
    cache, zero_shot = CacheModel(data.keys, data.labels, args.classes), data.zero_shot()
    prior = -torch.rand(args.rows, args.classes, generator=torch.Generator().manual_seed(1))
    few = Grid(PAPER_GRID.alphas, PAPER_GRID.betas, PAPER_GRID.gammas[: args.gammas])
    part = data.keys[:BLOCK]
    divergence = KeyDivergence(part, data.classifier)
    divergence.keys, divergence.normaliser = data.keys, torch.zeros(len(data.keys))  # any numbers take as long
    by_rows, by_keys = VALIDATION / args.rows, len(data.keys) / len(part)
    works = [  # name, work, by how much the whole is larger
        ("product of queries and keys", lambda: data.queries @ data.keys.T, by_rows),
        ("search, Tip-Adapter grid", lambda: search(zero_shot, cache, data.queries, data.targets), by_rows),
        (
            f"search, Tip-X grid, {args.gammas} of its 50 gammas",
            lambda: search(zero_shot, cache, data.queries, data.targets, few, prior),
            by_rows,
        ),
        ("KL to all keys", lambda: [kl.aminmax() for kl in divergence(data.queries)], by_rows),
        (f"normalisers of {len(part):,} keys", lambda: KeyDivergence(part, data.classifier), by_keys),
        (f"probabilities of {len(part):,} keys", lambda: class_probabilities(part, data.classifier), by_keys),
    ]
    table = []
    for name, work, factor in works:
        took, peak = processor_seconds_and_peak(work)
        memory = "" if peak is None else f"{peak / 2**20:,.0f} MiB"
        table.append((name, duration(took), duration(took * factor), memory))
    exact = search(zero_shot, cache, data.queries, data.targets)
    print(f"{args.rows} rows, {len(data.keys):,} keys, {args.classes:,} classes, {torch.get_num_threads()} threads\n")
    print(tabulate(table, ["work", "slice", f"{VALIDATION:,} rows and all keys", "peak memory"], "github"))
    zero = 100 * float((zero_shot.argmax(1) == data.targets).float().mean())
    print(f"\nZero-shot {zero:.1f}%; all keys: {exact.accuracy:.1f}% at {exact.alpha:.3g}, {exact.beta:.3g}\n")
    header = ["nearest keys", "alpha, beta found", "accuracy", "largest error on the grid, points"]
    sizes = [k for k in (64, 1024, 16_384) if k < len(data.keys)]
    print(tabulate(nearest_alone(data, cache, exact, zero_shot, sizes), header, "github"))


if __name__ == "__main__":
    main()
