"""Training images whose augmentation is reproducible."""

from __future__ import annotations

from typing import Any

from dassl.data import DatasetWrapper

from imo.files import open_image
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
        image = open_image(item.impath)
        view = (
            seeded(self.transform, image, self.cfg.SEED, self.epoch, index) if self.is_train else self.transform(image)
        )
        return {"img": view, "label": item.label, "domain": item.domain, "impath": item.impath, "index": index}
