import math
import statistics
from pathlib import Path

import pytest
from reporting import make_run, write_study

from imo.errors import InputError
from imo.workbench.cli import call
from imo.workbench.report import comparison
from imo.workbench.report.against import Expected, against, read_expected

HEADER = "dataset,method,shots,n,mean,std\n"
EXPECTED = sorted((Path(__file__).resolve().parents[3] / "expected").glob("*.csv"))


def runs_of(*accuracies):
    return [make_run(seed=seed, accuracy=accuracy) for seed, accuracy in enumerate(accuracies, 1)]


def verdict(runs, n, mean, std):
    table, differing = against(runs, {("Digits", "TipX", 4): Expected(n, mean, std)})
    assert differing == (table.rows[0][-1].text != "agrees")
    return table.rows[0][-1].text


def test_means_differ_beyond_twice_the_standard_error():
    ours = (50.0, 51.0, 52.0)
    allowed = 2 * math.sqrt(statistics.variance(ours) / 3 + 2.0**2 / 3)
    assert verdict(runs_of(*ours), 3, 51.0 + allowed - 0.01, 2.0) == "agrees"
    assert verdict(runs_of(*ours), 3, 51.0 + allowed + 0.01, 2.0) == "differs"
    assert verdict(runs_of(*ours), 3, 51.0 - allowed - 0.01, 2.0) == "differs"


def test_a_deviation_that_is_not_known_is_taken_from_the_other_side():
    allowed = 2 * math.sqrt(2 * 1.0 / 3)
    assert verdict(runs_of(50.0, 51.0, 52.0), 3, 51.0 + allowed - 0.01, None) == "agrees"
    assert verdict(runs_of(50.0, 51.0, 52.0), 3, 51.0 + allowed + 0.01, None) == "differs"
    assert verdict(runs_of(50.0), 1, 50.09, None) == "agrees"
    assert verdict(runs_of(50.0), 1, 50.11, None) == "differs"


def test_other_numbers_of_seeds_and_missing_cells_count():
    assert verdict(runs_of(50.0, 51.0), 3, 50.5, 1.0) == "n 3 → 2"
    assert verdict(runs_of(50.0, 51.0), 3, 90.0, 1.0) == "differs, n 3 → 2"
    assert verdict([make_run(shots=8)], 3, 50.0, 1.0) == "missing"
    assert verdict([], 3, 50.0, 1.0) == "missing"


def test_a_comparison_agrees_with_itself_on_the_command_line(tmp_path, capsys):
    runs = [*runs_of(50.0, 51.5), *(make_run("TipXPP", seed=seed, accuracy=55.0 + seed) for seed in (1, 2))]
    write_study(tmp_path, runs)
    comparison(runs).write_csv(tmp_path / "stored.csv")
    assert call("report", [str(tmp_path), "--against", str(tmp_path / "stored.csv")]) == 0
    assert "0 of 3 differ" in capsys.readouterr().out
    (tmp_path / "stored.csv").write_text(HEADER + "Digits,TipX,4,2,60,0.5\n")
    assert call("report", [str(tmp_path), "--against", str(tmp_path / "stored.csv")]) == 1
    assert "1 of 1 differ" in capsys.readouterr().out
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    "text, words",
    [
        ("dataset,method,shots,n,mean\nA,B,1,3,50\n", "no column 'std'"),
        (HEADER + "A,B,1,3,fifty,1\n", "line 2: not a figure"),
        (HEADER + "A,B,1,3\n", "line 2: not a figure"),
        (HEADER + "A,B,1,0,50,1\n", "line 2: n, mean and std"),
        (HEADER + "A,B,1,3,nan,1\n", "line 2: n, mean and std"),
        (HEADER + "A,B,1,3,50,1\nA,B,1,3,51,1\n", "line 3: A, B, 1 is told twice"),
        ("\0", "stored.csv"),
    ],
)
def test_files_that_hold_no_figures_are_refused(tmp_path, capsys, text, words):
    path = tmp_path / "stored.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_expected([path])
    write_study(tmp_path, runs_of(50.0))
    assert call("report", [str(tmp_path), "--against", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(InputError, match="absent"):
        read_expected([tmp_path / "absent.csv"])


def test_the_stored_results_cover_the_four_digit_sets():
    stored = read_expected(EXPECTED)
    assert {dataset for dataset, _, _ in stored} == {"ColoredDigits", "ColoredMNIST", "Digits", "MNIST5k"}
    for dataset in ("ColoredDigits", "Digits"):
        for shots in (1, 2, 4, 8, 16):
            base, corrected, gain = (stored[dataset, m, shots] for m in ("TipX", "TipXPP", "gain of TipXPP"))
            assert gain.mean == pytest.approx(corrected.mean - base.mean, abs=2e-4) and gain.n == base.n == 3
