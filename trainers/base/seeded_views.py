"""Training images whose augmentation is reproducible."""

from __future__ import annotations

from typing import Any

from dassl.data import DataManager, DatasetWrapper
from yacs.config import CfgNode

from imo.images import open_image
from imo.trainers.base.transforms import build_transform, turns
from imo.trainers.base.views import seeded


class SeededViews(DatasetWrapper):
    """A Dassl dataset whose augmented view of an image depends on (seed, epoch, image) alone, not on the number of
    loader workers (Dassl's own draws from global generators). Test images are transformed without a seed.

    Attributes:
        epoch: counted from 0; the trainer sets it before each epoch.
    """

    epoch = 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The item's "img", "label", "domain", "impath" and "index".

        Raises:
            InputError: the image cannot be read.
        """
        item = self.data_source[index]
        image = open_image(item.impath, turns(self.cfg))
        key = self.cfg.SEED, self.epoch, index
        view = seeded(self.transform, image, *key) if self.is_train else self.transform(image)
        return {"img": view, "label": item.label, "domain": item.domain, "impath": item.impath, "index": index}


def seeded_data(cfg: CfgNode, train_transform: Any = None) -> DataManager:
    """Dassl's data manager, with seeded views that are the same on every Dassl.

    Args:
        train_transform: of training images, where it is not the one of INPUT.
    """
    return DataManager(
        cfg,
        custom_tfm_train=train_transform or build_transform(cfg, is_train=True),
        custom_tfm_test=build_transform(cfg, is_train=False),
        dataset_wrapper=SeededViews,
    )
