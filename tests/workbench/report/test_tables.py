import csv
import statistics

import numpy as np
import pytest
from reporting import ISOCLIP, NOTHING, make_run, overlap_of

from imo.errors import InputError
from imo.protocol import Protocol
from imo.workbench.report import Cell, averages, comparison


def run(method, shots, seed, accuracy, dataset="Digits", **more):
    return make_run(method, shots, seed, accuracy, dataset, **{"cfg": "vit_b16", "backbone": "ViT-B/16", **more})


RUNS = [
    *(run("TipX", 4, seed, accuracy) for seed, accuracy in ((1, 60.0), (2, 61.0), (3, 65.0))),
    *(run("TipXPP", 4, seed, accuracy) for seed, accuracy in ((4, 90.0), (3, 70.0), (2, 63.0))),
    run("TipX", 1, 1, 40.0),
    run("TipX", 1, 2, 41.0),
]


def lines(table):
    """{first cell: other cells} of a markdown table."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in rows}


def test_a_cell_holds_the_mean_and_the_sample_deviation():
    cell = Cell((60.0, 61.0, 65.0))
    assert cell.mean == pytest.approx(62.0)
    assert cell.std == pytest.approx(np.std([60, 61, 65], ddof=1))
    assert cell.text() == "62.0 ± 2.6"
    assert (Cell((61.25,)).std, Cell((61.25,)).text("+")) == (None, "+61.2")
    assert Cell((-1.0, -2.0)).text("+") == "-1.5 ± 0.7"
    assert [cell.text(most=n) for n in (0, 3, 4)] == ["62.0 ± 2.6", "62.0 ± 2.6", "62.0 ± 2.6 (n=3)"]
    assert cell.text(most=4, of=True) == "62.0 ± 2.6 (n=3 of 4)"


def test_gains_are_paired_by_seed():
    """TipX has seeds 1, 2, 3 and TipXPP 2, 3, 4: only 63 - 61 and 70 - 65 can be compared."""
    gains = comparison(RUNS).gains
    assert set(gains) == {("Digits", "TipXPP", 4)}
    cell = gains["Digits", "TipXPP", 4]
    assert sorted(cell.values) == [2.0, 5.0]
    assert cell.mean == 3.5
    assert cell.std == pytest.approx(statistics.stdev([2, 5]))


def test_a_given_correction_is_a_row_of_its_own_and_gains_on_none():
    corrected = [run("TipX (isoclip)", 4, seed, 66.0, **ISOCLIP) for seed in (1, 3)]
    table = comparison([*RUNS, *corrected])
    assert table.rows["Digits", "TipX", 4].values == (60.0, 61.0, 65.0)
    assert table.rows["Digits", "TipX (isoclip)", 4].values == (66.0, 66.0)
    assert table.gains["Digits", "TipX (isoclip)", 4].values == (6.0, 1.0)
    averaged = averages([*corrected, run("TipX (isoclip)", 4, 1, 70.0, "B", **ISOCLIP)], {"Digits", "B"}, "mean")
    assert [(one.trainer, one.correction, one.accuracy) for one in averaged] == [("TipX", "isoclip", 68.0)]


def test_no_gain_without_a_common_seed_or_across_datasets():
    assert comparison([run("TipX", 4, 1, 50.0), run("TipXPP", 4, 2, 60.0)]).gains == {}
    assert comparison([run("TipX", 4, 1, 50.0, "MNIST"), run("TipXPP", 4, 1, 60.0)]).gains == {}
    assert comparison([run("TipX", 2, 1, 50.0), run("TipXPP", 4, 1, 60.0)]).gains == {}


def test_the_table_shows_shots_ascending_and_gaps_empty():
    table = lines(comparison(RUNS).text())
    assert table["method"] == ["1 shot", "4 shots"]
    assert table["TipX"] == ["40.5 ± 0.7 (n=2)", "62.0 ± 2.6"]
    assert table["TipXPP"] == ["", "74.3 ± 14.0"]
    assert table["gain of TipXPP"] == ["", "+3.5 ± 2.1 (n=2)"]


def test_a_cell_that_lacks_seeds_says_how_many_it_has():
    runs = [run("TipX", 4, seed, 60.0 + seed) for seed in (0, 1, 2)] + [run("TipAdapter", 4, 0, 50.0)]
    assert lines(comparison(runs).text())["TipAdapter"] == ["50.0 (n=1)"]
    assert "(n=" not in comparison(runs[:3]).text()


def test_a_single_seed_has_no_deviation():
    assert lines(comparison([run("TipX", 4, 1, 50.0)]).text())["TipX"] == ["50.0"]


def test_a_run_counts_once_however_often_it_is_given():
    assert comparison(RUNS + RUNS).rows == comparison(RUNS).rows


def test_several_datasets_get_a_column():
    runs = [run("TipX", 4, 1, 50.0), run("TipX", 4, 1, 60.0, "MNIST"), run("TipXPP", 4, 1, 51.0)]
    table = comparison(runs).text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    assert rows[0] == ["dataset", "method", "4 shots"]
    assert rows[2:] == [
        ["Digits", "TipX", "50.0"],
        ["Digits", "TipXPP", "51.0"],
        ["Digits", "gain of TipXPP", "+1.0"],
        ["MNIST", "TipX", "60.0"],
    ]


def test_the_caption_names_what_the_numbers_are():
    runs = [
        run("TipX", 4, 0, 50.0),
        run("TipX", 4, 2, 60.0, protocol=Protocol("paper", "test")),
        run("ZeroshotCLIP", 0, 1, 9.0, protocol=NOTHING),
    ]
    caption = comparison(runs).caption
    for part in ("Digits", "sample standard deviation", "seeds 0, 2, 1", "ViT-B/16", "80 test", "val (full), test"):
        assert part in caption


def test_nothing_is_named_only_where_nothing_else_is():
    assert "tuned on nothing" in comparison([run("ZeroshotCLIP", 0, 1, 9.0, protocol=NOTHING)]).caption
    one_shot = run("TipX", 1, 1, 9.0, protocol=Protocol("support", "nothing", "one shot"))
    caption = comparison([one_shot, run("ZeroshotCLIP", 0, 1, 9.0, protocol=NOTHING)]).caption
    assert caption.endswith("tuned on nothing (support, one shot)")


def test_the_caption_tells_the_overlap_under_each_correction():
    runs = [run("TipX", 4, 1, 50.0, overlap=overlap_of(0.5)), run("TipXPP", 4, 1, 52.0, overlap=overlap_of(0.4))]
    assert comparison(runs).caption.splitlines()[1:] == [
        "Intra-modal overlap of Digits's tuning images, correction none: area 0.500, separation 0.833",
        "Intra-modal overlap of Digits's tuning images, correction adapter: area 0.400, separation 0.867",
    ]


def test_files_hold_the_table_and_all_digits(tmp_path):
    report = comparison(RUNS)
    path = report.write(tmp_path / "deep" / "table")
    assert (tmp_path / "deep" / "table.md").read_text(encoding="utf-8") == report.text() + "\n"
    with path.open(newline="", encoding="utf-8") as file:
        rows = {(r["method"], r["shots"]): r for r in csv.DictReader(file)}
    assert set(rows) == {("TipX", "1"), ("TipX", "4"), ("TipXPP", "4"), ("gain of TipXPP", "4")}
    assert rows["TipX", "4"] == {
        "dataset": "Digits", "method": "TipX", "shots": "4", "n": "3", "mean": "62.0000", "std": "2.6458",
    }  # fmt: skip
    assert (rows["gain of TipXPP", "4"]["n"], rows["gain of TipXPP", "4"]["mean"]) == ("2", "3.5000")


def test_one_value_has_an_empty_deviation_in_the_file(tmp_path):
    path = comparison([run("TipX", 4, 1, 50.0)]).write(tmp_path / "table")
    assert path.read_text(encoding="utf-8").splitlines()[1] == "Digits,TipX,4,1,50.0000,"


@pytest.mark.parametrize("key", ["cfg", "backbone"])
def test_runs_with_another_setting_do_not_replace_each_other(key):
    runs = [run("TipX", 4, 1, 50.0, **{key: "one"}), run("TipX", 4, 1, 70.0, **{key: "two"})]
    shown = [value for cell in comparison(runs).rows.values() for value in cell.values]
    assert sorted(shown) == [50.0, 70.0]


def test_a_report_of_no_runs_is_refused():
    with pytest.raises(InputError, match="no finished runs"):
        comparison([])


def test_missing_seeds_are_shown_also_for_all_data():
    runs = [run("TipX", -1, 0, 60.0), run("TipX", -1, 1, 61.0), run("TipAdapter", -1, 0, 50.0)]
    assert lines(comparison(runs).text())["TipAdapter"] == ["50.0 (n=1)"]


def test_another_correction_is_part_of_the_name_and_gains_on_the_same_base():
    runs = [
        run("TipX", 4, 1, 50.0),
        run("TipXPP", 4, 1, 52.0),
        run("TipX (isoclip)", 4, 1, 51.5, **ISOCLIP),
        run("TipX (adapter)", 4, 1, 51.0, base="TipX", correction="adapter"),
        run("IMOAdapter", 200, 1, 90.0, kind="adapter", correction="adapter"),
        run("APP", 4, 1, 40.0),
    ]
    table = comparison(runs)
    assert [method for _, method, _ in table.rows] == [
        "TipX", "TipXPP", "TipX (isoclip)", "TipX (adapter)", "IMOAdapter", "APP",
    ]  # fmt: skip
    gains = {method: cell.values for (_, method, _), cell in table.gains.items()}
    assert gains == {"TipXPP": (2.0,), "TipX (isoclip)": (1.5,), "TipX (adapter)": (1.0,)}


def test_averages_keep_corrections_and_configs_apart():
    runs = [
        run("TipX (isoclip)" if more else "TipX", 4, 1, accuracy, dataset, cfg=cfg, **more)
        for cfg, more, accuracies in (
            ("one", {}, (50, 60)), ("one", ISOCLIP, (52, 64)), ("two", {}, (10, 20)),
        )
        for dataset, accuracy in zip("AB", accuracies)
    ]  # fmt: skip
    found = {(a.cfg, a.correction): a.accuracy for a in averages(runs, "AB", "both")}
    assert found == {("one", "none"): 55.0, ("one", "isoclip"): 58.0, ("two", "none"): 15.0}
