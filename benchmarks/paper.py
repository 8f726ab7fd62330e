"""The whole training-free benchmark: 11 datasets x 5 shots x 3 seeds x 4 methods, full grids, validation and test.

Features are random, of the datasets' real sizes; encoding is not part of it (see `benchmarks.encoding`).
"""

import torch
from dassl.data.datasets import DATASET_REGISTRY
from tqdm import tqdm

from benchmarks._measure import Line, seconds, seconds_and_peak
from benchmarks.searching import Problem, settings_of
from imo import (
    datasets,  # noqa: F401 registers them
    search,
)
from imo.datasets.base.subsets import HELD_OUT

DATASETS = (
    "OxfordPets", "EuroSAT", "UCF101", "SUN397", "Caltech101", "DescribableTextures", "FGVCAircraft", "Food101",
    "OxfordFlowers", "StanfordCars", "ImageNet",
)  # fmt: skip
SHOTS = (1, 2, 4, 8, 16)
SEEDS = (1, 2, 3)
METHODS = {"Tip-Adapter": False, "Tip-Adapter++": False, "Tip-X": True, "Tip-X++": True}  # whether with KL scores


def run_once(problem, test, with_kl):
    """One run of a method: search on validation, then the test logits."""
    prior = problem.prior() if with_kl else None
    found = search(problem.zero_shot, problem.cache, problem.queries, problem.targets, kl_scores=prior)
    scores = torch.cat([test.cache.class_scores(test.cache.affinity(q), found.beta) for q in test.queries.split(256)])
    logits = test.zero_shot + found.alpha * scores
    if with_kl:
        logits += found.gamma * test.prior()
    return logits.argmax(1)


def lines(scale=1.0):
    """A line a dataset and one for all, as they are measured; `scale` shrinks images and classes for a trial."""
    sizes = {name: DATASET_REGISTRY.get(name).sizes for name in DATASETS}
    total = Line(f"all {len(DATASETS)} datasets", 0.0, 0.0, 0.0, 0)
    steps = tqdm(total=len(DATASETS) * len(SHOTS) * len(SEEDS) * len(METHODS), unit="run", smoothing=0)
    for name, size in sizes.items():
        classes = max(2, round(size.classes * scale))
        validation = size.val or HELD_OUT * size.classes  # ImageNet has no validation split
        rows = [max(2, round(n * scale)) for n in (validation, size.test)]
        line = Line(name, 0.0, 0.0, 0.0, 0)
        for shots in SHOTS:
            for seed in SEEDS:
                problem, test = (Problem.draw(n, classes, shots, seed=seed) for n in rows)
                test.cache, test.key_probs = problem.cache, problem.key_probs
                for method, with_kl in METHODS.items():
                    steps.set_description(f"{name}, {shots} shots, seed {seed}, {method}")
                    taken, peak = seconds_and_peak(lambda p=problem, t=test, kl=with_kl: run_once(p, t, kl))
                    line.ours += taken
                    line.peak = None if peak is None else max(line.peak, peak)
                    steps.update()
                if seed == SEEDS[0]:  # the same for every seed
                    bound = seconds(problem.affinity_product) + seconds(test.affinity_product)
                    prior = problem.zero_shot  # of a prior's shape
                    one = [problem.naive_setting(prior if kl else None, 100) for kl in METHODS.values()]
                    naive = sum(t * settings_of(prior if kl else None) for t, kl in zip(one, METHODS.values()))
                    line.bound += bound * len(METHODS) * len(SEEDS)
                    line.naive += naive * len(SEEDS)
        yield line
        for field in ("ours", "naive", "bound"):
            setattr(total, field, getattr(total, field) + getattr(line, field))
        total.peak = None if line.peak is None else max(total.peak, line.peak)
    steps.close()
    yield total
