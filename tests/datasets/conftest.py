"""A tiny random CLIP, miniature datasets and the real command line."""

import json
import sys
from types import SimpleNamespace

import pytest
from building import ROOT
from layouts import FALLBACKS

from imo.workbench import train


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
def command(backbone, tmp_path, capsys):
    """command(trainer, yaml, root, *options, ...) -> status, err, log, results and folder of the command line."""

    def argv_of(trainer, yaml, root, *options, flags=(), output="out", shots=2):
        argv = ["--root", str(root), "--seed", "1", "--trainer", trainer, "--output-dir", str(tmp_path / output)]
        argv += ["--config-file", str(ROOT / f"configs/trainers/{trainer}/glyph.yaml")]
        argv += ["--dataset-config-file", str(ROOT / f"configs/datasets/{yaml}.yaml"), *map(str, flags)]
        argv += ["MODEL.BACKBONE.NAME", str(backbone), "IMO.STORE", str(tmp_path / "features"), "IMO.PASSES", "2"]
        return [*argv, "DATASET.NUM_SHOTS", str(shots), *map(str, options)]

    def run(*args, **kwargs):
        folder = tmp_path / kwargs.get("output", "out")
        screen = sys.stdout
        try:
            status = train.main(argv_of(*args, **kwargs))
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

    run.argv = argv_of
    return run
