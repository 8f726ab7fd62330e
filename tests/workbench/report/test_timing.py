"""The table of times."""

from reporting import make_run

from imo.workbench.report.timing import timing


def test_means_over_runs_with_and_without_encoding():
    runs = [
        make_run("TipX", seconds={"load": 1.0, "encode": 10.0, "search": 2.0}),
        make_run("TipX", seconds={"load": 1.0, "search": 3.0}),
        make_run("TipX (isoclip)", base="TipX", correction="isoclip", seconds={"test": 0.25}),
    ]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in timing(runs).splitlines()]
    assert rows[0] == ["method", "seconds a run", "with encoding"]
    assert rows[2:] == [["TipX", "3.50", "8.50"], ["TipX (isoclip)", "0.25", "0.25"]]
