"""The small CLIP that ships, miniature datasets, the mask bank and the real command line."""

import json
import sys
from types import SimpleNamespace

import pytest
from building import LABELS, ROOT, dataset_class, write_small
from layouts import FALLBACKS, imagenet, split_layout


@pytest.fixture(scope="session")
def backbone():
    """The small CLIP that ships with the project."""
    return "glyph"


@pytest.fixture(scope="session")
def layouts_root(tmp_path_factory):
    """A data root with every dataset for want of its split file; tests leave it as it is."""
    root = tmp_path_factory.mktemp("data")
    for make, *_ in FALLBACKS.values():
        make(root)
    return root


@pytest.fixture
def layout(tmp_path):
    """layout(yaml): the folder of a dataset without its split file, in a data root of its own."""

    def make(yaml):
        FALLBACKS[yaml][0](tmp_path)
        return tmp_path / dataset_class(yaml).dataset_dir

    return make


@pytest.fixture
def small(tmp_path):
    """A data root with `Small`: 15 training, 15 validation and 4 test images of four classes."""
    split = {part: [(f"{part}/{i}.png", label) for i, label in enumerate(LABELS)] for part in ("train", "val")}
    write_small(tmp_path, {**split, "test": [(f"test/{label}.png", label) for label in range(4)]})
    return tmp_path


@pytest.fixture
def dtd_root(tmp_path):
    """A data root with dtd: 3 classes of 4 training, 3 validation and 2 test images."""
    split_layout(tmp_path, dataset_class("dtd"), counts=(4, 3, 2))
    return tmp_path


@pytest.fixture
def net(tmp_path):
    """A data root with ImageNet: 14 training and 3 test images of each of 4 classes."""
    imagenet(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def bank():
    """The masks of all glyphs."""
    for package in ("matplotlib", "skimage", "scipy"):
        pytest.importorskip(package)
    from imo.datasets.making.glyph_masks import mask_bank

    return mask_bank()


@pytest.fixture
def cli(capsys):
    """cli(*argv) -> exit status, standard output, standard error of `imo datasets`."""
    from imo.workbench.cli import main

    def run(*argv):
        status = main(["datasets", *map(str, argv)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def command(backbone, tmp_path, capsys):
    """command(trainer, yaml, root, *options, ...) -> status, err, log, results and folder of the command line."""
    from imo.workbench import cli
    from imo.workbench.configs import trainer_config

    def argv_of(trainer, yaml, root, *options, flags=(), output="out", shots=2):
        argv = ["--root", str(root), "--seed", "1", "--trainer", trainer, "--output-dir", str(tmp_path / output)]
        argv += ["--config-file", str(trainer_config(trainer, "glyph"))]
        file = ROOT / f"configs/datasets/{yaml}.yaml" if isinstance(yaml, str) else yaml
        argv += ["--dataset-config-file", str(file), *map(str, flags)]
        argv += ["MODEL.BACKBONE.NAME", str(backbone), "IMO.STORE", str(tmp_path / "features"), "IMO.PASSES", "2"]
        return [*argv, "DATASET.NUM_SHOTS", str(shots), *map(str, options)]

    def main(argv):
        return cli.main(["train", *argv])

    def run(*args, **kwargs):
        folder = tmp_path / kwargs.get("output", "out")
        screen = sys.stdout
        try:
            status = main(argv_of(*args, **kwargs))
        finally:
            sys.stdout = screen
        results = folder / "results.json"
        log = folder / "log.txt"
        return SimpleNamespace(
            status=status,
            err=capsys.readouterr().err.strip(),
            log=log.read_text() if log.exists() else "",
            results=json.loads(results.read_text()) if results.exists() else None,
            folder=folder,
        )

    run.argv, run.main = argv_of, main
    return run
