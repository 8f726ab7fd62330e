"""SUN397: scenes."""

import os

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Item, Sizes, Split, SplitDataset, Torchvision, drive, hold_out

PARTITIONS = "https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip"


@DATASET_REGISTRY.register()
class SUN397(SplitDataset):
    """Xiao et al., "SUN database: Large-scale scene recognition from abbey to zoo", CVPR 2010,
    https://vision.princeton.edu/projects/2010/SUN."""

    dataset_dir = "sun397"
    image_dir = "SUN397"
    split_file = "split_zhou_SUN397.json"
    sizes = Sizes(397, 15880, 3970, 19850)
    sources = {
        "SUN397/": "https://vision.princeton.edu/projects/2010/SUN (SUN397.tar.gz)",
        "split_zhou_SUN397.json": drive("1y2RD81BYuiyvebdN-JymPfyWYcd8_MUq"),
        **dict.fromkeys(("ClassName.txt", "Training_01.txt", "Testing_01.txt"), PARTITIONS),
    }
    torchvision = Torchvision("SUN397", {"SUN397": "SUN397"})

    def fallback(self) -> Split:
        labels = {line.strip("/"): label for label, line in enumerate(self.lines("ClassName.txt"))}
        return Split(*hold_out(self.listed("Training_01.txt", labels)), self.listed("Testing_01.txt", labels))

    def listed(self, name: str, labels: dict[str, int]) -> list[Item]:
        """The images of lines such as `/a/apse/indoor/<image>`, whose class is named "indoor apse"."""
        items = []
        for line in self.lines(name):
            folder = os.path.dirname(line.strip("/"))
            items.append(Item(line.strip("/"), labels[folder], " ".join(folder.split("/")[:0:-1])))
        return items
