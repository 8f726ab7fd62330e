"""IsoCLIP where there are no images to choose its ranges on."""

import pytest


@pytest.mark.parametrize("trainer", ["TipAdapter", "GDA"])
def test_the_published_shares_are_taken_at_one_shot_without_validation(bench, trainer):
    bench.store = bench.folder / "store"
    run = bench.main(trainer, "IMO.CORRECTION", "isoclip", "DATASET.VALIDATION", "support", shots=1)
    assert run.status == 0, run.err
    found = run.results["hyper_parameters"]
    # 200 and 50 of ViT-B/16's 512 directions; the backbone here has an embedding, so a rank, of 32: 12.5 and 3.1 of it.
    assert (found["isoclip_top"], found["isoclip_bottom"]) == (12, 3)
    assert "IsoCLIP drops the first 12 and the last 3 of 32 singular directions" in run.log


def test_otherwise_the_shares_are_chosen(bench):
    """The published ones are not simply what always comes out."""
    run = bench.main("TipAdapter", "IMO.CORRECTION", "isoclip", "DATASET.VALIDATION", "support")
    assert run.status == 0, run.err
    found = run.results["hyper_parameters"]
    assert (found["isoclip_top"], found["isoclip_bottom"]) != (12, 3)
