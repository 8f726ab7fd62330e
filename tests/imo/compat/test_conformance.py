"""What upstream Dassl has and does, as recorded in upstream.json, against the `dassl` that is imported here: the
stand-in, or the real one, of which the records then are checked."""

import json
import sys
from pathlib import Path

import pytest
import record_upstream

from imo.compat import bridge

UPSTREAM = json.loads(Path(__file__).with_name("upstream.json").read_text())


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return json.loads(json.dumps(record_upstream.facts(tmp_path_factory.mktemp("facts"))))


@pytest.mark.parametrize("fact", ["config", "subsets", "scores", "log", "files"])
def test_same_as_upstream(found, fact):
    assert found[fact] == UPSTREAM[fact]


def test_same_training_as_upstream(found):
    assert len(found["losses"]) == len(UPSTREAM["losses"])
    for numbers, expected in zip(found["losses"], UPSTREAM["losses"]):
        assert numbers == pytest.approx(expected, abs=2e-3)  # printed with four decimals


def test_the_stand_in_stays_away_from_a_real_dassl():
    if bridge.ensure_dassl() != "dassl":
        pytest.skip("no Dassl is installed; DASSL=<its source folder> bash scripts/test.sh runs the tests on it")
    stand_in = Path(bridge.__file__).parent
    assert str(stand_in) not in sys.path
    files = [getattr(module, "__file__", "") or "" for module in list(sys.modules.values())]
    assert not any(file.startswith(str(stand_in / "dassl")) for file in files)
