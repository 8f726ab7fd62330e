"""The base of the datasets: a folder, a split, few-shot sampling. A dataset is a few class attributes over it."""

import os

from dassl.data.datasets import DatasetBase, Datum

from imo.datasets.base.annotations import Annotations, MissingFile
from imo.datasets.base.saved import subset
from imo.datasets.base.splits import Split, checked, load_split
from imo.datasets.base.subsets import check_validation, class_half, subsample_classes
from imo.datasets.making.corruptions import corrupted_copy
from imo.errors import InputError


class SplitDataset(Annotations, DatasetBase):
    """A dataset with a split file of CoOp's form: lists of [path, label, classname] for train, val and test.

    Attributes a dataset sets:
        dataset_dir: its folder below the data root.
        image_dir: the folder that the split's paths start from.
        split_file: the split's file name.
        fallback: a method that makes a `Split` of relative paths from the dataset's own files, for want of split_file.
        ignored, renamed: class folders that `folder_split` leaves out, and class names it gives to others.
        templates: prompts with `{}`, kept with the dataset.
        sizes, torchvision: see `_sources`.
        sources, mirrors, unfit: map files and folders to where to get them, to other spellings that are accepted, and
            to why they cannot serve.
        holds_out: whether training images stand in for a missing validation split.
        class_ids: a number for each class that other datasets give the same class, or None (see `_imagenet`).
    """

    dataset_dir = ""
    image_dir = "images"
    split_file = ""
    fallback = None
    ignored = ()
    renamed = {}
    templates = ("a photo of a {}.",)
    sizes = None
    sources = {}
    mirrors = {}
    unfit = {}
    torchvision = None
    holds_out = False
    class_ids = None

    def __init__(self, cfg):
        options = cfg.DATASET
        check_validation(options.VALIDATION)
        root = os.path.abspath(os.path.expanduser(options.ROOT))
        if not os.path.isdir(root) or not os.access(root, os.R_OK | os.X_OK):
            raise InputError(f"{root}: data root is missing or unreadable; create it, or set --root (DATA for scripts)")
        self.dataset_dir = os.path.join(root, self.dataset_dir)
        self.image_dir = self.mirrored(os.path.normpath(os.path.join(self.dataset_dir, self.image_dir)))
        self.seed = cfg.SEED
        self.target_name = options.NAME

        self.prepare()
        split = self.read()
        self.test_only = not split.train
        if self.test_only:
            train, val = split.test, []  # the training items only name the classes
        else:
            train, val = subset(self, split, options.NUM_SHOTS, cfg.SEED, options.VALIDATION)
        self.tuned_on = f"val ({'few' if options.VALIDATION == 'few' else 'full'})"
        if not split.val:
            self.tuned_on = "test" if options.VALIDATION == "paper" else "held-out train"
        if options.VALIDATION == "support":
            self.tuned_on = "support"
        if self.class_ids is not None:
            labels = class_half({item.label for item in train}, options.SUBSAMPLE_CLASSES)
            self.class_ids = [self.class_ids[label] for label in labels]
        train, val, test = subsample_classes(train, val, split.test, options.SUBSAMPLE_CLASSES)
        if options.CORRUPTION:
            test = corrupted_copy(test, self.image_dir, self.dataset_dir, options.CORRUPTION)
            self.target_name = f"{options.NAME}-{options.CORRUPTION}"
        train, val, test = (
            [Datum(impath=item.impath, label=item.label, classname=item.classname) for item in part]
            for part in (train, val, test)
        )
        super().__init__(train_x=train, val=val, test=test)

    def prepare(self):
        """Make the files, for datasets that can; called before the split is read."""

    def read(self):
        """The `Split`; what cannot be read is an InputError that names the file."""
        try:
            return self.find_split()
        except InputError:
            raise
        except (KeyError, ValueError, IndexError, TypeError, OSError) as error:
            raise InputError(
                f"{self.reading}: broken ({type(error).__name__}: {error}); get it anew: {self.where(self.reading)}"
            ) from error

    def find_split(self):
        """The `Split` of the split file, else of the fallback, every image checked to be there."""
        path = os.path.join(self.dataset_dir, self.split_file)
        if os.path.isfile(path):
            print(f"Reading split from {path}")
            return self.placed(load_split(path), path)
        missing = f"{path}: split file is missing; {self.where(path)}"
        if self.fallback is None:
            raise InputError(missing)
        try:
            split = self.fallback()
        except MissingFile as error:
            raise InputError(f"{missing}. In its place: {error}" if self.split_file else str(error)) from None
        if self.split_file:
            print(f"{path} is missing: split computed from the dataset's own files; subsets will not be CoOp's")
        return self.placed(split, self.reading or self.image_dir)

    def placed(self, split, named_in):
        """The split with absolute paths, checked."""

        def absolute(items):
            return [item._replace(impath=self.mirrored(os.path.join(self.image_dir, item.impath))) for item in items]

        return checked(Split(*map(absolute, split)), named_in)
