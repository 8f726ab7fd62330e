import numpy as np
import pytest
from msgspec.structs import replace
from reporting import make_run, make_study

from imo.workbench.report.accuracy import accuracy_table, gain_table
from imo.workbench.report.statistics import sign_flip


def texts(table):
    return {row[0].text: [entry.text for entry in row[1:]] for row in table.rows}


def test_methods_by_datasets_with_the_average_and_the_best():
    table = accuracy_table(make_study(), 4, "name", "title")
    assert table.header == ("method", "Birds", "Cars", "average")
    assert [row[0].text for row in table.rows] == ["ZeroshotCLIP", "TipX", "TipXPP"]
    assert texts(table)["ZeroshotCLIP"] == ["40.0", "40.0", "40.0"]
    assert texts(table)["TipX"] == ["55.5 ± 0.7"] * 3
    mean = np.mean([55 + 2.2, 56 + 2.4, 55 - 0.8, 56 - 0.6])
    assert table.rows[2][3].value == pytest.approx(mean)
    best = {row[0].text: [entry.best for entry in row[1:]] for row in table.rows}
    assert best == {"ZeroshotCLIP": [False] * 3, "TipX": [False, True, False], "TipXPP": [True, False, True]}


def test_a_missing_seed_is_shown_and_not_best_and_left_out_of_the_average_for_all():
    runs = [r for r in make_study() if not (r.method == "TipXPP" and r.dataset == "Birds" and r.seed == 1)]
    table = accuracy_table(runs, 4, "name", "title")
    assert texts(table)["TipXPP"] == ["58.4 (n=1 of 2)", "54.8 ± 0.8", "56.9 (n=1 of 2)"]  # seed 2: (58.4 + 55.4) / 2
    assert [entry.best for entry in table.rows[2][1:]] == [False, False, False]


def test_a_missing_dataset_is_shown_and_there_is_no_average():
    runs = [r for r in make_study() if not (r.method == "TipX" and r.dataset == "Cars")]
    assert texts(accuracy_table(runs, 1, "name", "title"))["TipX"] == ["52.5 ± 0.7", "missing", "missing"]


def test_the_note_names_transductive_methods():
    runs = [replace(r, transductive=r.method == "TipX") for r in make_study()]
    assert accuracy_table(runs, 4, "name", "title").note.endswith("depends on the others): TipX.")
    assert "ransductive" not in accuracy_table(make_study(), 4, "name", "title").note


def test_a_table_has_the_datasets_with_runs_of_its_shots():
    runs = [r for r in make_study() if (r.shots, r.dataset) != (4, "Cars")]
    assert accuracy_table(runs, 4, "name", "title").header == ("method", "Birds")
    assert accuracy_table(runs, 1, "name", "title").header == ("method", "Birds", "Cars", "average")


def test_a_seed_missing_at_one_number_of_shots_is_missing():
    runs = [r for r in make_study() if (r.shots, r.seed) != (4, 2)]
    assert texts(accuracy_table(runs, 4, "name", "title"))["TipX"] == ["55.0 (n=1 of 2)"] * 3


def test_methods_without_shots_average_whatever_their_seed():
    runs = [make_run("ZeroshotCLIP", 0, seed, 40.0 + seed, name) for seed, name in ((1, "A"), (7, "B"))]
    assert texts(accuracy_table(runs, 0, "name", "title"))["ZeroshotCLIP"] == ["41.0", "47.0", "44.0"]


def test_gains_by_dataset_with_both_tests():
    table = gain_table(make_study(), "gains", "title")
    assert table.header == ("method", "shots", "Birds", "Cars", "all", "pairs", "p (pairs)", "p (datasets)")
    assert [[entry.text for entry in row[:6]] for row in table.rows] == [
        ["TipXPP", str(shots), "+2.3 ± 0.1", "-0.7 ± 0.1", "+0.8", "4"] for shots in (1, 4)
    ]
    assert table.rows[0][6].value == pytest.approx(sign_flip([2.2, 2.4, -0.8, -0.6]))
    assert table.rows[0][7].value == pytest.approx(sign_flip([2.3, -0.7]))
