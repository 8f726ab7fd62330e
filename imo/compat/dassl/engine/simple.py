"""A trainer whose data, evaluator, checkpoints and test follow the configuration."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

import torch
from tqdm import tqdm
from yacs.config import CfgNode

from ..data import DataManager
from ..evaluation import build_evaluator
from .base import TrainerBase
from .models import Names


class SimpleTrainer(TrainerBase):
    """Builds data loaders, model and evaluator; resumes, saves and tests.

    A subclass defines `build_model` and how an epoch is trained.
    """

    model: Any

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        self.check_cfg(cfg)
        self.cfg = cfg
        self.device = torch.device("cuda" if torch.cuda.is_available() and cfg.USE_CUDA else "cpu")
        self.max_epoch = cfg.OPTIM.MAX_EPOCH
        self.output_dir = cfg.OUTPUT_DIR
        self.best_result = float("-inf")
        self.build_data_loader()
        self.build_model()
        self.evaluator = build_evaluator(cfg, lab2cname=self.lab2cname)

    def check_cfg(self, cfg: CfgNode) -> None:
        """Called first; may raise an error if the configuration does not suit the trainer."""

    def build_data_loader(self) -> None:
        """Set the data loaders, the number of classes and their names."""
        self.dm = DataManager(self.cfg)
        self.train_loader_x = self.dm.train_loader_x
        self.train_loader_u = self.dm.train_loader_u
        self.val_loader = self.dm.val_loader
        self.test_loader = self.dm.test_loader
        self.num_classes = self.dm.num_classes
        self.num_source_domains = self.dm.num_source_domains
        self.lab2cname = self.dm.lab2cname

    def build_model(self) -> None:
        """Set self.model and call register_model for what is trained."""
        raise NotImplementedError(f"{type(self).__name__} must override build_model: there is no default model")

    def before_train(self) -> None:
        """Resume from the folder RESUME, by default OUTPUT_DIR, if it has checkpoints."""
        self.start_epoch = self.resume_model_if_exist(self.cfg.RESUME or self.cfg.OUTPUT_DIR)
        self.init_writer(os.path.join(self.output_dir, "tensorboard"))
        self.time_start = time.time()

    def after_train(self) -> None:
        """Test the last model, or the best one (TEST.FINAL_MODEL)."""
        print("Finish training")
        if not self.cfg.TEST.NO_TEST:
            if self.cfg.TEST.FINAL_MODEL == "best_val":
                print("Deploy the model with the best val performance")
                self.load_model(self.output_dir)
            else:
                print("Deploy the last-epoch model")
            self.test()
        print(f"Elapsed: {timedelta(seconds=round(time.time() - self.time_start))}")
        self.close_writer()

    def after_epoch(self) -> None:
        """Save a checkpoint if the epoch is the best, the last, or due by TRAIN.CHECKPOINT_FREQ."""
        if not self.cfg.TEST.NO_TEST and self.cfg.TEST.FINAL_MODEL == "best_val":
            result = self.test(split="val")
            if result > self.best_result:
                self.best_result = result
                self.save_model(self.epoch, self.output_dir, val_result=result, model_name="model-best.pth.tar")
        done, frequency = self.epoch + 1, self.cfg.TRAIN.CHECKPOINT_FREQ
        if done == self.max_epoch or (frequency > 0 and done % frequency == 0):
            self.save_model(self.epoch, self.output_dir)

    @torch.no_grad()
    def test(self, split: str | None = None) -> float:
        """Evaluate on "val" ("test" if there is none) or "test", and return the first result, the accuracy."""
        self.set_model_mode("eval")
        self.evaluator.reset()
        split = split or self.cfg.TEST.SPLIT
        if split == "val" and self.val_loader is not None:
            loader = self.val_loader
        else:
            split, loader = "test", self.test_loader
        print(f"Evaluate on the *{split}* set")
        for batch in tqdm(loader):
            input, label = self.parse_batch_test(batch)
            self.evaluator.process(self.model_inference(input), label)
        results: dict[str, float] = self.evaluator.evaluate()
        for name, value in results.items():
            self.write_scalar(f"{split}/{name}", value, self.epoch)
        return next(iter(results.values()))

    def model_inference(self, input: Any) -> Any:
        """The model's class scores for an input."""
        return self.model(input)

    def parse_batch_test(self, batch: Any) -> Any:
        """(image, label) on the device."""
        return batch["img"].to(self.device), batch["label"].to(self.device)

    def get_current_lr(self, names: Names = None) -> float:
        """The learning rate of the first of the given models' first parameter group."""
        name = self.get_model_names(names)[0]
        optim = self._optims[name]
        if optim is None:
            raise ValueError(f"model {name!r} has no optimiser")
        rate: float = optim.param_groups[0]["lr"]
        return rate
