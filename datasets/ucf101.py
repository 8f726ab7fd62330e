"""UCF101: actions, each video by its middle frame."""

import re

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Item, Sizes, Split, SplitDataset, drive, hold_out


@DATASET_REGISTRY.register()
class UCF101(SplitDataset):
    """Soomro et al., "UCF101: A dataset of 101 human actions classes from videos in the wild", 2012,
    https://arxiv.org/abs/1212.0402."""

    dataset_dir = "ucf101"
    image_dir = "UCF-101-midframes"
    split_file = "split_zhou_UCF101.json"
    templates = ("a photo of a person doing {}.",)
    sizes = Sizes(101, 7639, 1898, 3783)
    sources = {
        "UCF-101-midframes/": drive("10Jqome3vtUA2keJkNanAiFpgbyC9Hc2O") + " (UCF-101-midframes.zip)",
        "split_zhou_UCF101.json": drive("1I0S0q91hJfsV9Gf4xDIjgDq4AqBNJb1y"),
        "ucfTrainTestlist/": "https://www.crcv.ucf.edu/data/UCF101.php (UCF101TrainTestSplits-RecognitionTask.zip)",
    }

    def fallback(self) -> Split:
        rows = [line.split() for line in self.lines("ucfTrainTestlist/classInd.txt")]
        labels = {name: int(number) - 1 for number, name in rows}
        return Split(*hold_out(self.listed("trainlist01.txt", labels)), self.listed("testlist01.txt", labels))

    def listed(self, name: str, labels: dict[str, int]) -> list[Item]:
        """The frames of lines such as `TaiChi/<video>.avi`: the image Tai_Chi/<video>.jpg of the class "Tai_Chi"."""
        items = []
        for line in self.lines(f"ucfTrainTestlist/{name}"):
            action, video = line.split()[0].split("/")
            folder = "_".join(re.findall("[A-Z][^A-Z]*", action))
            items.append(Item(f"{folder}/{video.replace('.avi', '.jpg')}", labels[action], folder))
        return items
