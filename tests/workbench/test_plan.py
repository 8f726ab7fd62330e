"""What a comparison runs, in the words of the command line."""

import argparse
from pathlib import Path

import pytest
from dassl.engine import TRAINER_REGISTRY

from imo.errors import InputError
from imo.workbench import train
from imo.workbench.commands import compare
from imo.workbench.plan import Request, methods, plan

REQUEST = Request(
    trainers=["ZeroshotCLIP", "TipX"],
    corrections=["none", "adapter", "isoclip"],
    shots=["2", "1"],
    seeds=["4", "5"],
    data="my data",
    output="out",
)


def change(**more):
    return Request(**{**vars(REQUEST), **more})


def cells(runs):
    return [(run.method, run.shots, run.seed) for run in runs]


def option(run, name):
    return run.argv[run.argv.index(name) + 1]


def test_order_and_places_of_runs(tmp_path):
    runs = plan(change(output=str(tmp_path)), "digits")
    assert cells(runs) == [("ZeroshotCLIP", 0, 4)] + [
        (method, shots, seed) for method in ("TipX", "TipXPP", "TipX (isoclip)") for shots in (2, 1) for seed in (4, 5)
    ]
    assert {run.dataset for run in runs} == {"digits"} and not any(tmp_path.iterdir())
    assert [run.folder.relative_to(tmp_path).as_posix() for run in (runs[0], runs[1], runs[5], runs[-1])] == [
        "digits/ZeroshotCLIP/glyph_0shots/seed4",
        "digits/TipX/glyph_2shots/seed4",
        "digits/TipXPP/glyph_2shots/seed4",
        "digits/TipX/glyph-isoclip_1shots/seed5",
    ]
    cfg = train.setup_cfg(train.parser().parse_args(runs[-1].argv))
    assert (cfg.TRAINER.NAME, cfg.IMO.CORRECTION, cfg.DATASET.NUM_SHOTS, cfg.SEED) == ("TipX", "isoclip", 1, 5)
    assert ("my data", str(runs[-1].folder)) == (cfg.DATASET.ROOT, cfg.OUTPUT_DIR)
    assert str(tmp_path / "features") == cfg.IMO.STORE


def test_what_is_given_goes_to_every_run():
    request = change(cfg="vit_b16", validation="few", adapter="a.safetensors", backbone="b.pt", corrections=["none"])
    for run in plan(request, "digits"):
        assert [option(run, name) for name in ("DATASET.VALIDATION", "IMO.ADAPTER", "MODEL.BACKBONE.NAME")] == [
            "few",
            "a.safetensors",
            "b.pt",
        ]
        assert Path(option(run, "--config-file")).stem == "vit_b16"
        assert run.folder.parent.name.startswith("vit_b16-few_")


def test_a_test_on_a_target_follows_the_run_whose_state_it_takes():
    runs = plan(change(trainers=["TipXPP"], shots=["1"], seeds=["4"], targets=["mnist5k", "inverse-3"]), "digits")
    source, other, corrupted = runs
    assert [run.folder.as_posix() for run in (other, corrupted)] == [
        f"out/shift/digits-{target}/TipXPP/glyph_1shots/seed4" for target in ("mnist5k", "inverse-3")
    ]
    for run in (other, corrupted):
        assert "--eval-only" in run.argv and option(run, "--model-dir") == str(source.folder)
    assert Path(option(other, "--dataset-config-file")).stem == "mnist5k"
    assert Path(option(corrupted, "--dataset-config-file")).stem == "digits"
    assert option(corrupted, "DATASET.CORRUPTION") == "inverse-3" and "DATASET.CORRUPTION" not in other.argv
    assert len(plan(change(trainers=["TipXPP"], shots=["1"], seeds=["4"], targets=[]), "digits")) == 1 + 7


def test_methods():
    corrections = ("none", "adapter", "isoclip")
    assert methods(["TipX"], corrections) == [("TipX", ""), ("TipXPP", ""), ("TipX", "isoclip")]
    assert methods(["TipXPP", "ZeroshotCLIP"], corrections) == [("TipXPP", ""), ("ZeroshotCLIP", "")]
    assert methods(["TipX", "TipXPP", "TipX"], ["adapter"]) == [("TipXPP", "")]  # each once
    every = [name for name, _ in methods([], ["none"])]
    assert every[:2] == ["ZeroshotCLIP", "ZeroshotCLIP2"] and {"TipAdapter", "TipX", "APE", "GDA"} <= {*every}
    assert not {"TipXPP", "TipAdapterF", "CoOp", "IMOAdapter"} & {*every}


@pytest.mark.parametrize(
    "more, words",
    [
        ({"trainers": ["Nonesuch"]}, "unknown name 'Nonesuch'"),
        ({"corrections": ["magic"]}, "CORRECTIONS.*'magic'"),
        ({"shots": ["0"]}, "SHOTS.*at least 1, got '0'"),
        ({"seeds": ["-1"]}, "SEEDS.*at least 0, got '-1'"),
        ({"cfg": "nonesuch"}, "CFG.*nonesuch"),
    ],
)
def test_what_does_not_exist(more, words):
    with pytest.raises(InputError, match=words):
        plan(change(**more), "digits")


@pytest.mark.parametrize(
    "trainers, dataset, shots, cfg, right",
    [
        (["TipXPP"], "caltech101", ["glyph"], "4", "TipXPP caltech101 4 glyph"),  # CoOp's order
        (["TipXPP"], "4", ["caltech101"], "", "TipXPP caltech101 4"),
        (["TipXPP"], "glyph", ["1 2"], "caltech101", "TipXPP caltech101 1 2 glyph"),
        (["dtd"], "APE", ["16"], "", "APE dtd 16"),
        (["16"], "vit_b16", ["dtd"], "CoOp", "CoOp dtd 16 vit_b16"),
    ],
)
def test_words_in_another_order(trainers, dataset, shots, cfg, right):
    with pytest.raises(InputError) as refused:
        plan(change(trainers=trainers, shots=shots, cfg=cfg), dataset)
    assert str(refused.value).partition("in the right order: ")[2] == right, refused.value


def test_a_trainer_of_dassl_s_own_is_not_compared(monkeypatch):
    get, names = TRAINER_REGISTRY.get, TRAINER_REGISTRY.registered_names()
    monkeypatch.setattr(TRAINER_REGISTRY, "registered_names", lambda: [*names, "Vanilla"])
    monkeypatch.setattr(TRAINER_REGISTRY, "get", lambda name: object if name == "Vanilla" else get(name))
    assert "Vanilla" not in dict(methods([], ["none"]))
    with pytest.raises(InputError, match="Vanilla is Dassl's own"):
        methods(["Vanilla"], ["none"])


@pytest.mark.parametrize("targets", [None, [], ["mnist5k"]])
def test_a_request_is_what_its_words_ask_for(targets):
    request = change(cfg="c", validation="few", adapter="a b", backbone="b", targets=targets)
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    args = parser.parse_args(request.words("digits"))
    assert Request.of(args) == request and args.datasets == ["digits"]
