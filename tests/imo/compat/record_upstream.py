"""Writes upstream.json: what upstream Dassl has and does where code in CoOp's style relies on it.

    git clone https://github.com/KaiyangZhou/Dassl.pytorch
    pip install -r Dassl.pytorch/requirements.txt
    python tests/imo/compat/record_upstream.py Dassl.pytorch

Recorded at commit c61a1b570ac6333bd50fb5ae06aea59002fb20bb with PyTorch 2.15. Warm-up is left out: upstream's fails on
PyTorch >= 2.7. Few-shot subsets of whole datasets are in tests/datasets/base/upstream_subsets.json.
"""

import contextlib
import io
import json
import random
import re
import sys
import tempfile
from pathlib import Path

TIMES = re.compile(r"\b(time|data) \S+ \(\S+\)|(eta) \S+|(Elapsed:) \S+")
LOSS = re.compile(r"loss (\S+) \((\S+)\) acc (\S+) \((\S+)\)")


def facts(folder):
    """What the `dassl` that is imported has and does; it works in the folder."""
    return {"config": config(), "subsets": subsets(), "scores": scores(), **life(folder)}


def config():
    """Each default by its dotted name, as Python writes it; of TRAINER, only what is not one method's."""
    from dassl.config import get_cfg_default

    def leaves(node, prefix=""):
        for key, value in node.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield prefix + key, repr(value)

    return {name: value for name, value in leaves(get_cfg_default()) if name.count(".") < 2 or name[:8] != "TRAINER."}


class Item:
    def __init__(self, label):
        self.label, self.classname = label, f"class {label}"


def subsets():
    """Positions of the items that are drawn from interleaved classes of 5, 2 and 9, by shots, seed and repetition."""
    from dassl.data.datasets import DatasetBase

    items = [Item(label) for label in (2, 0, 2, 1, 2, 0, 2, 2, 0, 1, 2, 0, 2, 2, 0, 2)]
    data, drawn = DatasetBase(train_x=items), {}
    for shots in (1, 3, 8, -1):
        for repeat in (False, True):
            for seed in (0, 1):
                random.seed(seed)
                with contextlib.redirect_stdout(io.StringIO()):
                    chosen = data.generate_fewshot_dataset(items, num_shots=shots, repeat=repeat)
                drawn[f"{shots} shots, seed {seed}, repeat {repeat}"] = [items.index(item) for item in chosen]
    return drawn


def scores():
    """What the evaluator makes of fixed scores, and what it says."""
    import torch
    from dassl.config import get_cfg_default
    from dassl.evaluation import build_evaluator

    cfg = get_cfg_default()
    cfg.TEST.PER_CLASS_RESULT = True
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        evaluator = build_evaluator(cfg, lab2cname={0: "cat", 1: "dog", 2: "emu"})
        for predicted, true in (([0, 1, 1], [0, 0, 1]), ([2, 0], [0, 0])):
            evaluator.process(torch.eye(3)[predicted], torch.tensor(true))
        results = evaluator.evaluate()
    return {"results": [[name, float(value)] for name, value in results.items()], "said": said.getvalue().splitlines()}


def life(folder):
    """A linear classifier's training of two epochs, test, resumption for a third and evaluation of its best and second
    state: the lines of its log (times left out), its losses and accuracies, its files, and what checkpoints hold."""
    from dassl.engine import build_trainer
    from dassl.utils import load_checkpoint, set_random_seed

    cfg = prepared(folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        set_random_seed(1)
        build_trainer(cfg).train()
        cfg.OPTIM.MAX_EPOCH = 3
        build_trainer(cfg).train()
        trainer = build_trainer(cfg)
        trainer.load_model(cfg.OUTPUT_DIR)
        trainer.test(split="val")
    lines = TIMES.sub(lambda match: next(filter(None, match.groups())), said.getvalue().replace(str(folder), "FOLDER"))
    losses = [[float(number) for number in found] for found in LOSS.findall(lines)]
    files = {}
    for path in sorted(Path(cfg.OUTPUT_DIR, "linear").iterdir()):
        if path.name == "checkpoint":
            files[path.name] = path.read_text()
        else:
            content = load_checkpoint(str(path))
            files[path.name] = {"keys": sorted(content), "state_dict": sorted(content["state_dict"])}
    log = [line for line in LOSS.sub("loss, acc", lines).splitlines() if not line.startswith("Initialize tensorboard")]
    return {"log": log, "losses": losses, "files": files}


def prepared(folder):
    """A dataset of 18 small images in 3 classes and a linear trainer, registered, and the options of a run on them."""
    import torch
    from dassl.config import get_cfg_default
    from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
    from dassl.engine import TRAINER_REGISTRY, TrainerX
    from dassl.metrics import compute_accuracy
    from dassl.optim import build_lr_scheduler, build_optimizer
    from PIL import Image

    items = []
    for number in range(18):
        path = str(folder / f"{number}.png")
        Image.new("RGB", (4, 4), (80 * (number % 3) + number, 200 - 10 * number, 90)).save(path)
        items.append(Datum(impath=path, label=number % 3, classname=f"class {number % 3}"))

    class Shades(DatasetBase):
        def __init__(self, cfg):
            super().__init__(train_x=items[:12], val=items[12:15], test=items[15:])

    class Linear(TrainerX):
        def build_model(self):
            model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, self.num_classes))
            torch.nn.init.zeros_(model[1].weight)
            torch.nn.init.zeros_(model[1].bias)
            self.model, self.optim = model, build_optimizer(model, self.cfg.OPTIM)
            self.sched = build_lr_scheduler(self.optim, self.cfg.OPTIM)
            self.register_model("linear", self.model, self.optim, self.sched)

        def forward_backward(self, batch):
            image, label = self.parse_batch_train(batch)[:2]
            output = self.model(image)
            loss = torch.nn.functional.cross_entropy(output, label)
            self.model_backward_and_update(loss)
            if self.batch_idx + 1 == self.num_batches:
                self.update_lr()
            return {"loss": loss.item(), "acc": compute_accuracy(output, label)[0].item()}

        def parse_batch_train(self, batch):
            return batch["img"].to(self.device), batch["label"].to(self.device)

    DATASET_REGISTRY.register(Shades, force=True)
    TRAINER_REGISTRY.register(Linear, force=True)
    cfg = get_cfg_default()
    cfg.USE_CUDA, cfg.OUTPUT_DIR = False, str(folder / "run")
    cfg.DATASET.NAME, cfg.TRAINER.NAME = "Shades", "Linear"
    cfg.INPUT.SIZE, cfg.INPUT.TRANSFORMS = (4, 4), ("random_resized_crop", "random_flip", "normalize")
    cfg.DATALOADER.NUM_WORKERS, cfg.DATALOADER.TRAIN_X.BATCH_SIZE = 0, 4
    cfg.OPTIM.NAME, cfg.OPTIM.LR, cfg.OPTIM.MAX_EPOCH, cfg.OPTIM.LR_SCHEDULER = "sgd", 0.02, 2, "cosine"
    cfg.TRAIN.PRINT_FREQ, cfg.TRAIN.CHECKPOINT_FREQ, cfg.TEST.FINAL_MODEL = 2, 1, "best_val"
    return cfg


def main(upstream):
    sys.path.insert(0, str(Path(upstream).resolve()))
    with tempfile.TemporaryDirectory() as folder:
        found = facts(Path(folder))
    Path(__file__).with_name("upstream.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
