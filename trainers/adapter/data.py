"""Training images of the adapters, and classes held out of them."""

import random

from dassl.data import DatasetWrapper
from dassl.data.data_manager import build_data_loader

from imo.errors import InputError
from imo.trainers.base.views import open_image, seeded


class SeededViews(DatasetWrapper):
    """Dassl's training items with augmentation drawn from (seed, epoch, image), not from a global generator."""

    epoch = 0

    def __getitem__(self, index):
        item = self.data_source[index]
        image = open_image(item.impath)
        view = (
            seeded(self.transform, image, self.cfg.SEED, self.epoch, index) if self.is_train else self.transform(image)
        )
        return {"img": view, "label": item.label, "domain": item.domain, "impath": item.impath, "index": index}


def held_out_classes(cfg, num_classes):
    """TRAINER.IMOADAPTER.HOLD_OUT of the classes, at least two, drawn by the seed; ascending."""
    count = max(2, round(cfg.TRAINER.IMOADAPTER.HOLD_OUT * num_classes))
    if count > num_classes - 2:
        raise InputError(f"TRAINER.IMOADAPTER.HOLD_OUT: {count} of {num_classes} classes leave none to train; lower it")
    return sorted(random.Random(cfg.SEED).sample(range(num_classes), count))


def split_by_class(cfg, manager, held_out):
    """A training loader without these classes, and a test loader of their validation (else training) images."""
    data, held_out = manager.dataset, set(held_out)
    kept = [item for item in data.train_x if item.label not in held_out]
    out = [item for item in data.val or data.train_x if item.label in held_out]
    return _loader_like(cfg, manager.train_loader_x, kept), _loader_like(cfg, manager.test_loader, out)


def _loader_like(cfg, loader, items):
    """A loader as Dassl makes them, of other items."""
    is_train = loader.dataset.is_train
    node = cfg.DATALOADER.TRAIN_X if is_train else cfg.DATALOADER.TEST
    return build_data_loader(
        cfg,
        sampler_type=node.SAMPLER,
        data_source=items,
        batch_size=node.BATCH_SIZE,
        n_ins=cfg.DATALOADER.TRAIN_X.N_INS,
        tfm=loader.dataset.transform,
        is_train=is_train,
        dataset_wrapper=SeededViews,
    )
