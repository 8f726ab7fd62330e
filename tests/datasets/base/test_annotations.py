"""Every kind of file that a dataset reads, missing or broken: one line that names it and where to get it."""

import pytest
from building import dataset_class, refused

FILES = {
    "oxford_pets": ("annotations/trainval.txt", "annotations/test.txt"),
    "stanford_cars": ("devkit/cars_train_annos.mat", "devkit/cars_meta.mat", "cars_test_annos_withlabels.mat"),
    "oxford_flowers": ("imagelabels.mat", "cat_to_name.json"),
    "fgvc_aircraft": ("variants.txt", "images_variant_train.txt", "images_variant_test.txt"),
    "sun397": ("ClassName.txt", "Training_01.txt", "Testing_01.txt"),
    "ucf101": ("ucfTrainTestlist/classInd.txt", "ucfTrainTestlist/trainlist01.txt"),
    "imagenet": ("classnames.txt",),
    "imagenetv2": ("classnames.txt",),
    "openimages": ("oi_data.csv",),
}
PAIRS = [(yaml, name) for yaml, names in FILES.items() for name in names]


@pytest.mark.parametrize("yaml, name", PAIRS)
def test_a_missing_file_is_named_with_where_to_get_it(yaml, name, layout, tmp_path):
    folder = layout(yaml)
    (folder / name).unlink()
    kind = dataset_class(yaml)
    refused(yaml, tmp_path, folder / name, "missing", "get ", "from ", kind.split_file, "DATASETS.md")


@pytest.mark.parametrize("yaml, name", PAIRS)
def test_a_broken_file_is_named(yaml, name, layout, tmp_path):
    folder = layout(yaml)
    (folder / name).write_bytes((folder / name).read_bytes()[:3] + b"\x9c nonsense\n")
    refused(yaml, tmp_path, folder / name)
