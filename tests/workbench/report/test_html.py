"""The page's tables."""

from imo.workbench.report.formats import Entry, Table
from imo.workbench.report.html import page


def test_tables_are_escaped_and_keep_values_for_sorting():
    rows = ((Entry("Tip|X"), Entry("61.5 ± 0.3", 61.5, True)), (Entry("<i>50% & $5</i>"), Entry("missing")))
    table = Table("a_table", "Title & <more>", ("method", "x_1 <b>"), rows, "A <note>")
    text = page({"Heading <h>": ([table], {}), "Empty": ([], {})}, [], ["a/<file>: reason"])
    assert '<td data-value="61.5"><b>61.5 ± 0.3</b></td>' in text
    assert "<td>&lt;i&gt;50% &amp; $5&lt;/i&gt;</td><td>missing</td>" in text
    assert "<button>x_1 &lt;b&gt;</button>" in text and "Title &amp; &lt;more&gt;" in text
    assert "Heading &lt;h&gt;" in text and "A &lt;note&gt;" in text and "<li>a/&lt;file&gt;: reason</li>" in text
    assert "Empty" not in text
