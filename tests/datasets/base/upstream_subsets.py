"""Writes upstream_subsets.json: the few-shot subsets that upstream Dassl draws from the split of `split()`.

    git clone https://github.com/KaiyangZhou/Dassl.pytorch
    python tests/datasets/base/upstream_subsets.py Dassl.pytorch/dassl/data/datasets/base_dataset.py

Recorded at commit c61a1b570ac6333bd50fb5ae06aea59002fb20bb. As CoOp's datasets do: one seeding of the global generator,
training images first, then min(K, 4) of validation.
"""

import json
import random
import sys
import types
from pathlib import Path

SHOTS, SEEDS = (1, 2, 4, 8, 16), (0, 1, 2, 3)
COUNTS = (23, 5, 40, 16, 9, 31)  # training images of each class, some below 16; the half of it for validation


def split():
    """{part: [[path, label, classname]]}, classes interleaved and not in order of label."""
    parts = {}
    for part, share in (("train", 1), ("val", 2), ("test", 8)):
        entries = [
            [f"class{label}/{part}_{i:02d}.jpg", label, f"class {label}"]
            for label, count in enumerate(COUNTS)
            for i in range(max(count // share, 1))
        ]
        parts[part] = sorted(entries, key=lambda entry: (entry[0][-6:], -entry[1]))
    return parts


def main(path):
    for name in ("dassl", "dassl.utils", "gdown"):  # the module needs no more of them than this
        sys.modules[name] = types.ModuleType(name)
    sys.modules["dassl.utils"].check_isfile = lambda path: True
    upstream = {}
    exec(compile(Path(path).read_text(), path, "exec"), upstream)
    parts = {
        part: [upstream["Datum"](impath=name, label=label, classname=classname) for name, label, classname in entries]
        for part, entries in split().items()
    }
    dataset = upstream["DatasetBase"](train_x=parts["train"])
    facts = {}
    for shots in SHOTS:
        for seed in SEEDS:
            random.seed(seed)
            train = dataset.generate_fewshot_dataset(parts["train"], num_shots=shots)
            val = dataset.generate_fewshot_dataset(parts["val"], num_shots=min(shots, 4))
            facts[f"{shots}-{seed}"] = {"train": [d.impath for d in train], "val": [d.impath for d in val]}
    out = Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(facts, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
