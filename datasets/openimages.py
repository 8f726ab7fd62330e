"""Open Images: the generic labelled set that the IMO authors train adapters on."""

from __future__ import annotations

import csv
import glob
import os
import random
from collections import defaultdict
from collections.abc import Mapping

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import PARTS, Item, Split, SplitDataset, stratified
from imo.errors import reading
from imo.files import atomic_path

SITE = "https://storage.googleapis.com/openimages/web/download.html"
COUNTS = {"train": 200, "validation": 10, "test": 10}  # images of each class sampled from the official labels


@DATASET_REGISTRY.register()
class OpenImages(SplitDataset):
    """Kuznetsova et al., "The Open Images dataset V4", IJCV 2020, https://arxiv.org/abs/1811.00982.

    Read from the authors' oi_data.csv with columns ImageID, DisplayName and type (train, validation or test); classes
    are numbered in order of appearance. If it lists no test images, the validation images are tested on, too; if it
    lists neither, a tenth of the training images is divided between both. Without oi_data.csv, 200 training images of
    each class are sampled by the run's seed from the official files of human-verified labels, and listed in
    oi_data-seed_<S>.csv.
    """

    dataset_dir = "open_images_v4"
    image_dir = "images_classes"
    sources = {
        "images_classes/": f"{SITE} (<ImageID>.jpg; its downloader.py takes oi_images-seed_<S>.txt)",
        "oi_data.csv": f"the IMO authors, or sampled from the human-verified labels and class descriptions of {SITE}",
    }

    def prepare(self) -> None:
        """Sample images from the official label files, if those are there and no table is.

        Writes oi_data-seed_<S>.csv, which is read from then on, and oi_images-seed_<S>.txt, which downloader.py takes.
        """
        files = {part: self.official(f"{part}-annotations-human-imagelabels") for part in COUNTS}
        descriptions = self.official("class-descriptions")
        if os.path.exists(self.table()) or not files["train"] or not descriptions:
            return
        form = (
            f"expected columns ImageID, LabelName and Confidence, and descriptions <label>,<name>; get them from {SITE}"
        )
        with reading(f"{self.dataset_dir}: broken label files", f"{form}; get them again from {SITE}"):
            with open(descriptions, encoding="utf-8", newline="") as file:
                names = dict(row[:2] for row in csv.reader(file) if len(row) > 1)
            rows = sample({part: path for part, path in files.items() if path}, names, random.Random(self.seed))
        with atomic_path(os.path.join(self.dataset_dir, f"oi_images-seed_{self.seed}.txt")) as path:
            path.write_text("".join(f"{part}/{image}\n" for image, _, part in rows), encoding="utf-8")
        table = os.path.join(self.dataset_dir, f"oi_data-seed_{self.seed}.csv")
        with atomic_path(table) as path, path.open("w", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("ImageID", "DisplayName", "type"), *rows])

    def official(self, name: str) -> str | None:
        """The path of an official file whose name contains `name`, of whatever release, or None."""
        return next(iter(sorted(glob.glob(os.path.join(glob.escape(self.dataset_dir), f"*{name}*.csv")))), None)

    def table(self) -> str:
        """The path of the CSV file to read: oi_data.csv, unless only a sampled one is there."""
        own = os.path.join(self.dataset_dir, "oi_data.csv")
        sampled = os.path.join(self.dataset_dir, f"oi_data-seed_{self.seed}.csv")
        return own if os.path.exists(own) or not os.path.exists(sampled) else sampled

    def fallback(self) -> Split:
        rows = self.csv(self.table(), ("ImageID", "DisplayName", "type")).values()
        labels = {name: label for label, name in enumerate(dict.fromkeys(row["DisplayName"] for row in rows))}
        split = Split([], [], [])
        for row in rows:
            item = Item(f"{row['ImageID']}.jpg", labels[row["DisplayName"]], row["DisplayName"])
            getattr(split, PARTS[row["type"]]).append(item)
        if not split.val and not split.test:
            return stratified(split.train, train=0.9, val=0.05)
        return split._replace(test=split.test or split.val)


def sample(files: Mapping[str, str], names: Mapping[str, str], generator: random.Random) -> list[tuple[str, str, str]]:
    """Sample COUNTS images of each class that has training images; no image is taken for two classes.

    Args:
        files: {part: path} of the official label files, train first.
        names: {label: class name}.
        generator: the only source of randomness.

    Returns:
        (image, class name, part) for each image.
    """
    rows: list[tuple[str, str, str]] = []
    taken: set[str] = set()
    classes = list(dict.fromkeys(names.values()))
    for part, path in files.items():
        known = defaultdict(list)
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if float(row["Confidence"]) == 1 and row["LabelName"] in names:  # 0 says that it is not in the image
                    known[names[row["LabelName"]]].append(row["ImageID"])
        if not rows:
            classes = [name for name in classes if name in known]
        for name in classes:
            free = sorted(set(known[name]) - taken)
            chosen = generator.sample(free, min(len(free), COUNTS[part]))
            taken.update(chosen)
            rows += [(image, name, part) for image in chosen]
    return rows
