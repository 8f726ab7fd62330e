"""The class that datasets build on: a folder, a split, few-shot sampling. A dataset sets a few class attributes."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dassl.data.datasets import DatasetBase, Datum
from yacs.config import CfgNode

from imo.datasets.base.annotations import Annotations, MissingFile
from imo.datasets.base.corruptions import corrupted_copy
from imo.datasets.base.folder_tree import class_folders
from imo.datasets.base.options import RULES
from imo.datasets.base.saved import subset
from imo.datasets.base.sources import Sizes, Torchvision
from imo.datasets.base.splits import Item, Split, checked, load_split, part_of, refuse_repeated, stratified
from imo.datasets.base.subsets import class_half, protocol_of, protocol_of_held_out, subsample_classes
from imo.errors import InputError, reason
from imo.files import settled
from imo.rules import check


class SplitDataset(Annotations, DatasetBase):
    """A dataset whose split into train, val and test stands in a file, or is made by `fallback`.

    The split file has CoOp's form: {"train": [[path, label, class name], ...], "val": [...], "test": [...]}. Paths lead
    to files below the dataset's folder; a link in it may lead elsewhere, for it was placed by the folder's owner.

    Attributes that a dataset sets:
        dataset_dir: its folder below the data root.
        image_dir: the folder, below `dataset_dir`, that the split's paths start from.
        split_file: name of the split file in `dataset_dir`; empty for a dataset that has none.
        templates: prompts, with `{}` for the class name.
        confined: whether paths that lead out of `dataset_dir` are refused.
        holds_out: whether training images are held out for validation where the split has no validation images.
        ignored: class folders that `folder_split` leaves out.
        renamed: {class folder: class name}, for `folder_split`; other classes are named as their folders.
        sizes: published numbers of classes and images, which `imo datasets check` compares with.
        sources: {file or folder: where to get it}.
        mirrors: {file or folder: its other name}, for copies of the dataset that are laid out in another way.
        unfit: {folder: why a copy of the dataset that has it cannot be used}.
        torchvision: how `imo datasets prepare` downloads it, or None.

    Attributes set when it is built:
        protocol: which images hyper-parameters are chosen on.
        title: what results and messages call the dataset.
        target_name: what results call the test set: the title and the corruption, if any.
        originals: {corrupted image: the image that it was made from}.
        test_only: whether there are test images only; `train_x` then repeats them, for their class names.
        class_ids: a number for each class, equal in all datasets that share the class (ImageNet's), or None.
    """

    image_dir: str = "images"
    split_file: str = ""
    templates: tuple[str, ...] = ("a photo of a {}.",)
    confined: bool = True
    holds_out: bool = False
    ignored: tuple[str, ...] = ()
    renamed: Mapping[str, str] = {}
    sizes: Sizes | None = None
    unfit: Mapping[str, str] = {}
    torchvision: Torchvision | None = None
    class_ids: list[int] | None = None

    def __init__(self, cfg: CfgNode) -> None:
        options = cfg.DATASET
        check(cfg, RULES)
        root = os.path.abspath(os.path.expanduser(options.ROOT))
        self.dataset_dir = settled(dataset_folder(self, root))
        self.image_dir = self.mirrored(settled(os.path.join(self.dataset_dir, self.image_dir)))
        self.seed: int = cfg.SEED
        self.originals: dict[str, str] = {}
        self.title = self.target_name = self.titled(options)

        if os.path.exists(root):
            check_root(root)
        self.prepare()
        check_root(root)
        split = self.read()
        self.protocol = protocol_of(split, options.VALIDATION)
        self.test_only = not split.train
        train, val = split.test, split.val
        if not self.test_only:
            train, val = subset(
                split,
                shots=options.NUM_SHOTS,
                seed=cfg.SEED,
                validation=options.VALIDATION,
                holds_out=self.holds_out,
                dataset_dir=self.dataset_dir,
                image_dir=self.image_dir,
            )
        if self.class_ids is not None:
            labels = class_half({item.label for item in train}, options.SUBSAMPLE_CLASSES)
            self.class_ids = [self.class_ids[label] for label in labels]
        train, val, test = subsample_classes(train, val, split.test, options.SUBSAMPLE_CLASSES)
        if self.holds_out and not self.test_only and self.protocol.images == "held-out train":
            self.protocol = protocol_of_held_out(self.protocol, train, val)
        if options.CORRUPTION:
            folder = os.path.abspath(os.path.join(cfg.IMO.STORE, "corrupted"))
            clean, test = test, corrupted_copy(test, self.image_dir, folder, options.CORRUPTION, options.EXIF)
            self.originals = {copy.impath: item.impath for copy, item in zip(test, clean, strict=True)}
            self.target_name = f"{self.title}-{options.CORRUPTION}"
        train_x, val_x, test_x = ([Datum(**item._asdict()) for item in part] for part in (train, val, test))
        super().__init__(train_x=train_x, val=val_x, test=test_x)

    def titled(self, options: CfgNode) -> str:
        """What results and messages call the dataset, from the config node DATASET."""
        name: str = options.NAME
        return name

    def prepare(self) -> None:
        """Make the dataset's files, for datasets that can; called before the split is read."""

    def fallback(self) -> Split | None:
        """The split made from the dataset's own files, for want of the split file; None for a dataset that needs it.

        Paths start from `image_dir`.
        """
        return None

    def read(self) -> Split:
        """The split.

        Raises:
            InputError: a file is missing or broken; the message names it.
        """
        try:
            return self.find_split()
        except InputError:
            raise
        except Exception as error:  # of whatever reads the dataset's own files
            where = self.reading or self.dataset_dir
            raise InputError(f"{where}: broken ({reason(error)}); get it anew: {self.where(where)}") from error

    def find_split(self) -> Split:
        """The split of the split file, or else of `fallback`, with absolute paths of images that are there."""
        path = self.mirrored(os.path.join(self.dataset_dir, self.split_file))
        if os.path.isfile(path):
            print(f"Reading split from {path}")
            listed = self.placed(load_split(path), path)
            if not self.sources:  # the published split of a published dataset is kept as it is
                parts = zip(Split._fields, listed, strict=True)
                refuse_repeated(((f"{p}[{i}]", it.impath) for p, items in parts for i, it in enumerate(items)), path)
            return listed
        missing = f"{path}: split file is missing; {self.where(path)}"
        try:
            split = self.fallback()
        except MissingFile as error:
            raise InputError(f"{missing}. In its place: {error}" if self.split_file else str(error)) from None
        if split is None:
            raise InputError(missing)
        if self.split_file:
            print(f"{path} is missing: split computed from the dataset's own files; subsets will not be CoOp's")
        return self.placed(split, self.reading or self.image_dir)

    def placed(self, split: Split, named_in: str) -> Split:
        """The split with absolute paths, checked. `named_in` is the file that error messages name.

        Raises:
            InputError: a path leads out of the dataset's folder; or see `checked`.
        """
        folder = os.path.join(os.path.normpath(self.dataset_dir), "")
        if split.train and not os.path.isdir(self.image_dir):
            name = split.train[0].impath
            found = self.mirrored(os.path.join(self.image_dir, name))
            self.image_dir = found.removesuffix(os.sep + name) if found.endswith(os.sep + name) else self.image_dir

        def absolute(item: Item) -> Item:
            path = os.path.join(self.image_dir, item.impath)
            if "\\" in item.impath and not os.path.exists(path):  # written on Windows
                path = os.path.join(self.image_dir, item.impath.replace("\\", "/"))
            if not self.confined:
                return item._replace(impath=settled(path))
            path = os.path.normpath(path)  # so that `link/..` is the folder that holds the link
            if not path.startswith(folder):
                raise InputError(f"{named_in}: {item.impath!r} leads out of {self.dataset_dir}; name images below it")
            return item._replace(impath=self.mirrored(path))

        split = Split(*([absolute(item) for item in part] for part in split))
        for item in [item for part in split for item in part[:1] if not os.path.exists(item.impath)]:
            top, inside, _ = item.impath[len(folder) :].partition(os.sep)
            if item.impath.startswith(folder) and inside:
                self.located(top)  # says what is there in its place
        return checked(split, named_in)


def dataset_folder(dataset: SplitDataset | type[SplitDataset], root: str) -> str:
    """The folder of a dataset below a data root: its own, or the one that torchvision makes, if only that is there."""
    usual = os.path.join(root, dataset.dataset_dir)
    moves = dataset.torchvision.moves if dataset.torchvision and not os.path.exists(usual) else {}
    return next((path for name in moves if os.path.isdir(path := os.path.join(root, name.split("/")[0]))), usual)


def check_root(root: str) -> None:
    """Raise InputError unless the data root is a folder that can be read."""
    if not os.path.isdir(root) or not os.access(root, os.R_OK | os.X_OK):
        raise InputError(f"{root}: data root is missing or unreadable; create it, or set --root (DATA for scripts)")


def folder_split(dataset: SplitDataset) -> Split:
    """A `fallback` for images in class folders: each class is split by the shares of `stratified`."""
    found = class_folders(dataset.located(dataset.image_dir))
    names = [name for name in found if name not in dataset.ignored]
    if names and all(map(part_of, names)):
        raise InputError(f"{dataset.image_dir}: found {', '.join(names)}; expected the folders of all classes in it")
    return stratified(
        [Item(path, label, dataset.renamed.get(name, name)) for label, name in enumerate(names) for path in found[name]]
    )
