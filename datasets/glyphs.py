"""Pictures of printed characters, digits left out: the generic labelled set that adapters are trained on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from dassl.data.datasets import DATASET_REGISTRY
from tqdm import tqdm

from imo.datasets.making.made import MadeDataset, Picture

COUNTS = {"train": 200, "val": 10, "test": 10}  # pictures of each class


@DATASET_REGISTRY.register()
class Glyphs(MadeDataset):
    """Characters of matplotlib's fonts, drawn with strong augmentation, classes named by the Unicode standard."""

    dataset_dir = "glyphs"

    def pictures(self) -> Iterator[Picture]:
        """Each character's pictures; their randomness is seeded by its class number in the mask bank."""
        from imo.datasets.making.glyph_masks import DIGITS, mask_bank
        from imo.datasets.making.glyph_pictures import draw_pictures

        bank = mask_bank()
        classes = range(len(DIGITS), len(bank.classnames))
        for label, known in enumerate(tqdm(classes, desc="Drawing Glyphs")):
            generator = torch.Generator().manual_seed(known)
            members = (bank.labels == known).nonzero()[:, 0]
            for part, count in COUNTS.items():
                chosen = members[torch.randint(len(members), (count,), generator=generator)]
                images = draw_pictures(bank, chosen, generator).images
                for i, image in enumerate((images.permute(0, 2, 3, 1) * 255).numpy().astype(np.uint8)):
                    yield part, f"{label:03d}/{part}_{i:03d}.png", image, label, bank.classnames[known]
