import msgspec
import pytest
from reporting import make_analysis, make_run, make_study, overlap_of

from imo.workbench.report.analyses import Analysis
from imo.workbench.report.claims import correlation_table, points, robustness_table, variance_table
from imo.workbench.report.overlaps import analysis_tables
from imo.workbench.report.statistics import spearman


def test_points_pair_a_correction_with_its_base():
    found = {(p.dataset, p.method, p.shots): p for p in points(make_study())}
    assert set(found) == {(d, "TipXPP", k) for d in ("Birds", "Cars") for k in (1, 4)}
    birds, cars = found["Birds", "TipXPP", 4], found["Cars", "TipXPP", 4]
    assert (birds.less_area, birds.gain) == pytest.approx((0.1, 2.3))
    assert (cars.less_area, cars.gain) == pytest.approx((-0.01, -0.7))
    assert birds.separation == pytest.approx(0.1 / 3)
    assert birds.correction == "adapter"


def test_runs_without_an_overlap_or_a_base_make_no_point():
    assert points([make_run("TipXPP"), make_run("TipX", overlap=overlap_of(0.5))]) == []
    assert points([make_run("TipXPP", overlap=overlap_of(0.4))]) == []


def test_correlation_by_shots_and_over_all():
    study = [
        make_run(trainer, shots, 1, 50 + (gain if trainer == "TipXPP" else 0), f"D{i}", overlap=overlap_of(area))
        for shots, gains in ((1, (1, 2, 3, 4)), (4, (4, 3, 2, 1)))
        for i, gain in enumerate(gains)
        for trainer, area in (("TipX", 0.5), ("TipXPP", 0.5 - 0.05 * i))
    ]
    table = correlation_table(points(study))
    assert [row[0].text for row in table.rows] == ["1", "4", "all"]
    assert [row[1].value for row in table.rows] == pytest.approx(
        [1.0, -1.0, spearman([0, 1, 2, 3] * 2, [1, 2, 3, 4, 4, 3, 2, 1])]
    )
    assert table.rows[0][1].text == "+1.00 [+1.00, +1.00]"
    assert [row[4].text for row in table.rows] == ["4", "4", "4"]
    assert "[too few datasets]" in correlation_table(points(make_study())).rows[0][1].text


def test_variance_says_in_how_many_cases_the_claim_holds():
    runs = [
        make_run(trainer, dataset=dataset, overlap=overlap_of(0.5, within, 0.3))
        for dataset, withins in (("A", (0.3, 0.4)), ("B", (0.3, 0.2)), ("C", (0.3, 0.5)))
        for trainer, within in zip(("TipX", "TipXPP"), withins)
    ]
    table = variance_table(runs)
    assert "higher in 2 of 3 cases" in table.note
    assert [entry.text for entry in table.rows[1]] == [
        "A", "adapter", "0.500", "0.833", "0.600", "0.300", "0.400", "0.300", "0.700", "0.750",
    ]  # fmt: skip


def test_robustness_compares_with_the_source_itself():
    own = make_study()
    shifted = [
        make_run(trainer, 4, seed, accuracy, target, trained_on="Birds")
        for target, base, corrected in (
            ("Birds-blur-3", 40.0, 45.0),
            ("Birds-noise-3", 40.0, 41.0),
            ("Owls", 30.0, 29.0),
        )
        for trainer, accuracy in (("TipX", base), ("TipXPP", corrected))
        for seed in (1, 2)
        if (target, trainer, seed) != ("Owls", "TipXPP", 2)
    ]
    table = robustness_table("Birds", own, shifted, "shift")
    assert table.header == ("target", "TipX, 4 shots", "TipXPP, 4 shots", "gain of TipXPP, 4 shots")
    rows = {row[0].text: [entry.text for entry in row[1:]] for row in table.rows}
    assert rows["Birds (source)"] == ["55.5 ± 0.7", "57.8 ± 0.8", "+2.3 ± 0.1"]
    assert rows["Birds-blur-3"] == ["40.0 ± 0.0", "45.0 ± 0.0", "+5.0 ± 0.0"]
    assert rows["Owls"] == ["30.0 ± 0.0", "29.0 (n=1 of 2)", "-1.0 (n=1 of 2)"]
    assert rows["average"][1] == "38.3 (n=1 of 2)"  # (45 + 41 + 29) / 3, of the seed that all have
    assert "gain in 2 of 3 cases, and more than on Birds itself in 1 of 3" in table.note
    assert "itself in 0 of 0" in robustness_table("Birds", [], shifted, "shift").note


def test_analyses_show_confusion_with_its_interval():
    measures, confused = analysis_tables({"Birds": msgspec.convert(make_analysis(), Analysis)})
    assert [entry.text for entry in measures.rows[3]] == [
        "Birds", "image-text", "adapter", "0.500", "0.200 [0.160, 0.250]", "-0.100 [-0.150, -0.050]", "0.600", "0.200",
        "40 (val (full))",
    ]  # fmt: skip
    assert [row[5].text for row in measures.rows[:2]] == ["", ""]
    assert confused.rows[0][3].text == "owl → hawk 25%"
    assert analysis_tables({}) == []
