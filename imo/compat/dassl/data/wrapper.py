"""A torch Dataset over the items of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torchvision.transforms as T
from PIL import Image
from torch.utils.data import Dataset
from yacs.config import CfgNode

from ..utils import read_image
from .datasets import Datum
from .transforms import INTERPOLATION_MODES

Sample = dict[str, Any]  # "img", "label", "domain", "impath", "index"


class DatasetWrapper(Dataset[Sample]):
    """Loads and transforms images.

    Args:
        cfg: the configuration.
        data_source: the items.
        transform: of a PIL image; None leaves it as it is. Of a list of transforms, the first gives the sample's "img",
            the others "img2", "img3" and so on.
        is_train: whether DATALOADER.K_TRANSFORMS applies: above 1, "img" is a list of so many transformed copies.
    """

    def __init__(self, cfg: CfgNode, data_source: Sequence[Datum], transform: Any = None, is_train: bool = False):
        self.cfg = cfg
        self.data_source = data_source
        self.transform = transform
        self.is_train = is_train
        self.k_tfm: int = cfg.DATALOADER.K_TRANSFORMS if is_train else 1
        self.return_img0: bool = cfg.DATALOADER.RETURN_IMG0
        if self.k_tfm > 1 and transform is None:
            raise ValueError(f"Cannot augment the image {self.k_tfm} times because transform is None")

        steps: list[Any] = [
            T.Resize(cfg.INPUT.SIZE, interpolation=INTERPOLATION_MODES[cfg.INPUT.INTERPOLATION]),
            T.ToTensor(),
        ]
        if "normalize" in cfg.INPUT.TRANSFORMS:
            steps.append(T.Normalize(mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD))
        self.to_tensor = T.Compose(steps)

    def __len__(self) -> int:
        return len(self.data_source)

    def __getitem__(self, idx: int) -> Sample:
        item = self.data_source[idx]
        image = read_image(item.impath)
        sample: Sample = {"label": item.label, "domain": item.domain, "impath": item.impath, "index": idx}
        several = isinstance(self.transform, (list, tuple))
        for number, transform in enumerate(self.transform if several else [self.transform], start=1):
            sample["img" if number == 1 else f"img{number}"] = self._transformed(transform, image)
        if self.return_img0:
            sample["img0"] = self.to_tensor(image)
        return sample

    def _transformed(self, transform: Callable[[Image.Image], Any] | None, image: Image.Image) -> Any:
        """The transformed image, or a list of k_tfm transformed copies; without a transform, the image as it is."""
        images = [transform(image) if transform else image for _ in range(self.k_tfm)]
        return images[0] if len(images) == 1 else images
