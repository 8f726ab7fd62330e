"""Pictures of printed characters, digits left out: the generic labelled set that adapters are trained on."""

import json
import os

import numpy as np
import torch
from dassl.data.datasets import DATASET_REGISTRY
from tqdm import tqdm

from imo.datasets._base import SplitDataset
from imo.datasets._pictures import save_png, whole_folder
from imo.errors import InputError

COUNTS = {"train": 200, "val": 10, "test": 10}  # pictures of each class


@DATASET_REGISTRY.register()
class Glyphs(SplitDataset):
    """Characters of matplotlib's fonts, drawn with strong augmentation, classes named by the Unicode standard."""

    dataset_dir = "glyphs"
    split_file = "split.json"

    def prepare(self):
        """Draw the pictures and write the split, once."""
        if os.path.isdir(self.dataset_dir):
            return
        try:
            from imo.datasets._glyph_masks import DIGITS, mask_bank
            from imo.datasets._glyph_pictures import draw_pictures

            bank = mask_bank()
        except ImportError as error:
            raise InputError(
                f"{self.dataset_dir}: cannot be drawn without the package {error.name}; pip install 'clip-imo[demo]'"
            ) from error
        with whole_folder(self.dataset_dir) as temporary:
            split = {part: [] for part in COUNTS}
            classes = range(len(DIGITS), len(bank.classnames))
            for label, known in enumerate(tqdm(classes, desc="Drawing Glyphs")):
                generator = torch.Generator().manual_seed(known)
                members = (bank.labels == known).nonzero()[:, 0]
                for part, count in COUNTS.items():
                    chosen = members[torch.randint(len(members), (count,), generator=generator)]
                    images = draw_pictures(bank, chosen, generator).images
                    for i, image in enumerate(np.uint8(images.permute(0, 2, 3, 1) * 255)):
                        name = f"{label:03d}/{part}_{i:03d}.png"
                        save_png(image, os.path.join(temporary, "images", name))
                        split[part].append([name, label, bank.classnames[known]])
            with open(os.path.join(temporary, self.split_file), "w", encoding="utf-8") as file:
                json.dump(split, file, indent=0)
