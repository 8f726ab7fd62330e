"""Trains the adapters that reduce intra-modal overlap, on a generic labelled set."""

import math
from dataclasses import asdict

import torch
import torch.nn.functional as F
from dassl.data import DataManager, DatasetWrapper
from dassl.engine import TRAINER_REGISTRY
from dassl.optim import build_lr_scheduler, build_optimizer
from torch import nn
from tqdm import tqdm
from yacs.config import CfgNode

from imo.adapter import adapters_of, attach_adapters, save_adapters
from imo.encode import encode_images
from imo.errors import InputError
from imo.overlap import overlap
from imo.trainers._base import ClipTrainer
from imo.trainers._views import open_image, seeded

SCHEDULES = ("constant", "cosine")


def extend_cfg(cfg):
    """The trainer's own options."""
    cfg.TRAINER.IMOADAPTER = CfgNode()
    cfg.TRAINER.IMOADAPTER.BOTTLENECK = 64  # hidden size of an adapter
    cfg.TRAINER.IMOADAPTER.SCALE = 0.03  # factor on its output
    cfg.TRAINER.IMOADAPTER.DROPOUT = 0.1
    cfg.TRAINER.IMOADAPTER.SCHEDULE = "constant"  # of the learning rate over steps: constant or cosine


class _SeededViews(DatasetWrapper):
    """Dassl's training items with augmentation drawn from (seed, epoch, image), not from a global generator."""

    epoch = 0

    def __getitem__(self, index):
        item = self.data_source[index]
        image = open_image(item.impath)
        view = (
            seeded(self.transform, image, self.cfg.SEED, self.epoch, index) if self.is_train else self.transform(image)
        )
        return {"img": view, "label": item.label, "domain": item.domain, "impath": item.impath, "index": index}


@TRAINER_REGISTRY.register()
class IMOAdapter(ClipTrainer):
    """Supervised: adapters and a linear head on the un-normalised image embedding, cross-entropy; the head is dropped.

    Kravets & Namboodiri, "CLIP Adaptation by Intra-Modal Overlap Reduction", BMVC 2024,
    https://arxiv.org/abs/2409.11338. Theirs: Open Images, 200 images a class, AdamW 8e-3, batch 128, one epoch, fp32,
    pixels not normalised. Ours normalises; drop "normalize" from INPUT.TRANSFORMS for theirs.

    Leaves `adapter.safetensors` in the output folder, for IMO.ADAPTER. The reported accuracy is the head's on the
    generic test split; results.json also has the overlap of that split before and after.
    """

    correction = "none"

    def check_cfg(self, cfg):
        super().check_cfg(cfg)
        if cfg.TRAINER.IMOADAPTER.SCHEDULE not in SCHEDULES:
            raise InputError(
                f"TRAINER.IMOADAPTER.SCHEDULE: expected one of {', '.join(SCHEDULES)}, got "
                f"'{cfg.TRAINER.IMOADAPTER.SCHEDULE}'"
            )

    def build_data_loader(self):
        self.dm = DataManager(self.cfg, dataset_wrapper=_SeededViews)
        self.train_loader_x, self.train_loader_u = self.dm.train_loader_x, self.dm.train_loader_u
        self.val_loader, self.test_loader = self.dm.val_loader, self.dm.test_loader
        self.num_classes, self.lab2cname = self.dm.num_classes, self.dm.lab2cname
        self.num_source_domains = self.dm.num_source_domains

    def build_model(self):
        cfg = self.cfg
        options = cfg.TRAINER.IMOADAPTER
        self.seconds = {}
        with self.stage("load"):
            self.load_backbone()
            self.clip_model.float()
            attach_adapters(self.clip_model, options.BOTTLENECK, options.SCALE, options.DROPOUT)
        trained = nn.ModuleDict(
            {
                "adapters": nn.ModuleList(adapters_of(self.clip_model)),
                "head": nn.Linear(self.clip_model.visual.output_dim, self.num_classes),
            }
        ).to(self.device)
        for parameter in trained.parameters():
            parameter.requires_grad_(True)
        adapter_size = sum(p.numel() for p in trained["adapters"].parameters())
        print(f"Adapter parameters: {adapter_size:,}; everything else of CLIP is frozen")
        self.head = trained["head"]
        self.optim = build_optimizer(trained, cfg.OPTIM)
        self.sched = build_lr_scheduler(self.optim, cfg.OPTIM)
        self.register_model("adapter", trained, self.optim, self.sched)

    def model_inference(self, image):
        return self.head(self.clip_model.visual(image).float())

    def before_epoch(self):
        self.train_loader_x.dataset.epoch = self.epoch

    def forward_backward(self, batch):
        image, label, _ = self.parse_batch_train(batch)
        if self.cfg.TRAINER.IMOADAPTER.SCHEDULE == "cosine":
            done = (self.epoch * self.num_batches + self.batch_idx) / (self.max_epoch * self.num_batches)
            for group in self.optim.param_groups:
                group["lr"] = self.cfg.OPTIM.LR * 0.5 * (1 + math.cos(math.pi * done))
        output = self.model_inference(image)
        loss = F.cross_entropy(output, label)
        if not torch.isfinite(loss):
            raise InputError(
                f"OPTIM.LR: the loss is infinite or NaN in epoch {self.epoch + 1}, batch {self.batch_idx + 1}; lower "
                f"the learning rate, or check the weights of backbone '{self.cfg.MODEL.BACKBONE.NAME}'"
            )
        self.model_backward_and_update(loss)
        accuracy = 100.0 * (output.argmax(1) == label).float().mean()
        return {"loss": loss.item(), "acc": accuracy.item()}

    def run_epoch(self):
        with self.stage("train"):
            super().run_epoch()

    def after_epoch(self):
        if self.epoch + 1 == self.max_epoch:
            self.save_model(self.epoch, self.output_dir, is_best=True, val_result=0.0)

    def after_train(self):
        path = f"{self.output_dir}/adapter.safetensors"
        save_adapters(self.clip_model, path, self.backbone_sha256)
        print(f"Adapters saved to {path}")
        super().after_train()

    @torch.no_grad()
    def test(self, split=None):
        split = split or self.cfg.TEST.SPLIT
        print(f"Evaluate on the *{split}* set")
        self.set_model_mode("eval")
        self.evaluator.reset()
        features = {"none": [], "adapter": []}
        labels = []
        with self.stage("test"):
            for batch in tqdm(self.val_loader if split == "val" else self.test_loader):
                image, label = self.parse_batch_test(batch)
                features["none"].append(encode_images(self.clip_model, image, corrected=False).cpu())
                corrected = encode_images(self.clip_model, image, corrected=True)
                features["adapter"].append(corrected.cpu())
                self.evaluator.process(self.head(corrected), label)
                labels.append(label.cpu())
            results = self.evaluator.evaluate()
            report = {name: overlap(torch.cat(parts), torch.cat(labels)) for name, parts in features.items()}
        for name, found in report.items():
            print(f"Overlap, correction {name}: area {found.area:.3f}, separation {found.separation:.3f}")
        if split == "test":
            report = {name: asdict(found) for name, found in report.items()}
            self.write_results(results, correction="adapter", overlap=report)
        return results["accuracy"]
