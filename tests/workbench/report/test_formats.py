import csv
import io

from imo.workbench.report.formats import Entry, Table

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
