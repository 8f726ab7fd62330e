import csv
import io

import pytest

from imo.workbench.report.formats import Entry, Table, from_csv, in_csv, in_markdown

TABLE = Table(
    "a_table",
    "Title & more",
    ("method", "x_1 <b>"),
    ((Entry("Tip|X"), Entry("61.5 ± 0.3", 61.5, True)), (Entry("<i>50% & $5</i>"), Entry("missing"))),
    "A note_",
)


def test_markdown_escapes_pipes_and_sets_the_best_in_bold():
    lines = TABLE.markdown().splitlines()
    assert lines[0] == "**Title & more**" and lines[-1] == "A note_"
    assert [cell.strip() for cell in lines[4].strip("|").split(" | ")] == [r"Tip\|X", "**61.5 ± 0.3**"]


def test_a_terminal_gets_bold_or_a_star():
    assert "\033[1m61.5 ± 0.3\033[0m" in TABLE.terminal(bold=True)
    plain = TABLE.terminal(bold=False)
    assert "61.5 ± 0.3 *" in plain and "\033" not in plain


def test_csv_reads_back():
    assert list(csv.reader(io.StringIO(TABLE.csv()))) == [
        ["method", "x_1 <b>"], ["Tip|X", "61.5 ± 0.3"], ["<i>50% & $5</i>", "missing"],
    ]  # fmt: skip


def test_latex_is_a_booktabs_table_with_everything_escaped():
    lines = TABLE.latex().splitlines()
    assert [line for line in lines if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert r"\begin{tabular}{lr}" in lines
    assert r"method & x\_1 $<$b$>$ \\" in lines
    assert r"Tip|X & \textbf{61.5 $\pm$ 0.3} \\" in lines
    assert r"$<$i$>$50\% \& \$5$<$/i$>$ & missing \\" in lines
    assert r"\caption{Title \& more. A note\_}" in lines


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+cmd|x", "-2+3+cmd|x", "@SUM(1)", "\t=1", "=1+1"])
def test_no_spreadsheet_takes_a_name_for_a_formula(text):
    assert in_csv(text) == f"'{text}" and from_csv(in_csv(text)) == text


@pytest.mark.parametrize(
    "text", ["-1.2", "+0.5 ± 0.3", "+1.2 ± 0.3 (n=2)", "-0.010 [-0.020, +0.001]", "TipX", "'", "1", ""]
)
def test_numbers_and_other_names_stay(text):
    assert in_csv(text) == text == from_csv(text)


def test_names_are_neither_html_nor_links_nor_escapes():
    name = "<script>a|b [x](javascript:alert(1)) \x1b[2J\n# b"
    table = Table("t", name, ("m",), ((Entry(name),),))
    for text in (table.markdown(), in_markdown(name)):
        assert "<script" not in text and "](" not in text
    for text in (table.markdown(), table.csv(), table.terminal(bold=False)):
        assert r"\x1b[2J\n# b" in text
    assert "\x1b" not in table.latex()
