"""One table, four ways: terminal, Markdown, CSV and LaTeX (booktabs). The page's template has the fifth, HTML."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

from tabulate import tabulate

from imo.errors import visible

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "→": r"$\to$", "−": "$-$", "<": "$<$",
        ">": "$>$", "≤": r"$\le$", "ρ": r"$\rho$",
    }
)  # fmt: skip


_NUMBER = re.compile(r"[-+]?\d[-+\d.,%± \[\]]*(\(n=\d+\))?")


def in_markdown(text: str) -> str:
    """A text as Markdown shows it, without the HTML, links and ends of cells that it may hold."""
    return text.replace("|", r"\|").replace("<", "&lt;").replace("](", r"]\(")


def in_csv(text: str) -> str:
    """A text as a spreadsheet shows it: one that it would take for a formula begins with an apostrophe."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text) else text


def from_csv(text: str) -> str:
    """The text that `in_csv` was given."""
    return text[1:] if text[:1] == "'" and in_csv(text[1:]) == text else text


@dataclass(frozen=True)
class Entry:
    """What a table shows in a place; `value` is what it is sorted by, `best` is set in bold."""

    text: str
    value: float | None = None
    best: bool = False


def number(value: float, shown: str = "") -> Entry:
    """A number as a format specification has it shown."""
    return Entry(f"{value:{shown}}", value)


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes:
        name: stem of its files.
        title, note: above and below it; plain text.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    note: str = ""

    def terminal(self, bold: bool) -> str:
        """For a screen; the best in bold, or with a star where the screen cannot."""
        table = self._tabulated("simple", (lambda text: f"\033[1m{text}\033[0m") if bold else lambda text: f"{text} *")
        return "\n".join((visible(self.title), "", table, self.note))

    def markdown(self) -> str:
        """Markdown; the best in bold."""
        table = self._tabulated("github", lambda text: f"**{text}**", in_markdown)
        title, note = in_markdown(visible(self.title)), in_markdown(self.note)
        return "\n\n".join(part for part in (f"**{title}**", table, note) if part) + "\n"

    def csv(self) -> str:
        """Comma-separated texts."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows([in_csv(visible(entry.text)) for entry in row] for row in self.rows)
        return out.getvalue()

    def latex(self) -> str:
        """A table environment for the package booktabs; the best in bold.

        (tabulate has booktabs rules only in a style that escapes all cells, bold ones too, and leaves ±, → and ρ.)
        """
        texts = self._texts(lambda text: rf"\textbf{{{text}}}", lambda text: text.translate(_LATEX))
        head, *rows = (" & ".join(cells) + r" \\" for cells in texts)
        caption = " ".join(part for part in (f"{visible(self.title)}.", self.note) if part).translate(_LATEX)
        return "\n".join(
            [
                r"\begin{table}", r"\centering", rf"\caption{{{caption}}}",
                rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}", r"\toprule", head, r"\midrule", *rows,
                r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
            ]
        )  # fmt: skip

    def _tabulated(
        self, style: str, emphasise: Callable[[str], str], escape: Callable[[str], str] = lambda text: text
    ) -> str:
        header, *rows = self._texts(emphasise, escape)
        return str(tabulate(rows, header, style, disable_numparse=True))

    def _texts(self, emphasise: Callable[[str], str], escape: Callable[[str], str]) -> list[list[str]]:
        """Header and rows as a format has them."""
        texts = [[(escape(visible(entry.text)), entry.best) for entry in row] for row in self.rows]
        rows = [[emphasise(text) if best else text for text, best in row] for row in texts]
        return [[escape(text) for text in self.header], *rows]
