"""One page that needs nothing else: tables that sort, pictures inside, and where every number comes from.

What comes from files is escaped, and the page's own policy lets nothing run but the script below, and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from imo.workbench.report.formats import Entry, Table
from imo.workbench.report.tables import Run, method_name

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #111; }
h2 { margin-top: 2.5em; border-bottom: 1px solid #999; }
table { border-collapse: collapse; margin: .7em 0; font-variant-numeric: tabular-nums; }
td, th { padding: .2em .7em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
th button { font: inherit; font-weight: bold; border: 0; background: none; padding: 0; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
.wide { overflow-x: auto; }
figure { margin: 1.5em 0; }
img { max-width: 100%; height: auto; }
"""

_SCRIPT = """
document.querySelectorAll("table.sortable").forEach(table => {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = cell => cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  const compare = (a, b) => typeof a !== typeof b ? (typeof a === "number" ? -1 : 1)
    : typeof a === "number" ? a - b : a.localeCompare(b);
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].sort((a, b) => compare(key(a.cells[column]), key(b.cells[column])));
    body.append(...(down ? rows.reverse() : rows));
  }));
});
"""


def provenance(runs: Sequence[Run]) -> Table:
    """Where the numbers come from, a row a run."""
    lines = []
    for run in runs:
        texts = (run["dataset"], str(run.get("trained_on", run["dataset"])), method_name(run), run["correction"])
        settings = ", ".join(f"{name} {value}" for name, value in run["hyper_parameters"].items())
        details = (
            *(run["tuned_on"] or "nothing", settings, f"{run['backbone']} {run['backbone_sha256'][:12]}"),
            *((run["adapter_sha256"] or "none")[:12], run["settings"], run["folder"]),
            ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
        )
        numbers = (run["shots"], run["seed"], run["accuracy"], run["macro_f1"], run["n_test"])
        lines.append(
            (
                *map(Entry, texts),
                *(Entry(f"{x:.2f}" if isinstance(x, float) else str(x), x) for x in numbers),
                *map(Entry, map(str, details)),
            )
        )
    header = (
        "dataset", "made on", "method", "correction", "shots", "seed", "accuracy", "macro F1", "n test", "tuned on",
        "hyper-parameters", "backbone and sha256", "adapter sha256", "settings", "folder", "versions",
    )  # fmt: skip
    note = "Checksums are cut to 12 digits; folders lie below the output folder and hold log.txt and results.json."
    return Table("provenance", f"{len(lines)} runs", header, tuple(lines), note)


def protocol(runs: Sequence[Run]) -> str:
    """What the numbers are, in a paragraph of plain text."""

    def all_of(key: str) -> str:
        return ", ".join(map(str, sorted({run[key] for run in runs if run[key] is not None}))) or "nothing"

    return (
        f"Backbone {all_of('backbone')}; configs {all_of('cfg')}; shots {all_of('shots')}; seeds {all_of('seed')}. "
        f"Hyper-parameters were chosen on: {all_of('tuned_on')}. Accuracies are percentages of the test images, which "
        f"were looked at once unless a run was tuned on them."
    )


def page(
    sections: Mapping[str, tuple[Sequence[Table], Mapping[str, Path]]], runs: Sequence[Run], skipped: Sequence[str]
) -> str:
    """The page.

    Args:
        sections: by heading, tables and pictures (caption to SVG file).
        runs: of which the protocol and the provenance are told.
        skipped: files that were left out, with the reason.
    """
    policy = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    parts = [f"<p>{html.escape(protocol(runs))}</p>"]
    if skipped:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in skipped)
        parts.append(f"<p><strong>Left out:</strong></p><ul>{items}</ul>")
    for heading, (tables, pictures) in sections.items():
        if tables or pictures:
            parts.append(f"<h2>{html.escape(heading)}</h2>")
            parts += [_picture(caption, path) for caption, path in pictures.items()]
            parts += [table.html() for table in tables]
    parts += ["<h2>Where every number comes from</h2>", provenance(runs).html()]
    content = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
script-src 'sha256-{policy}'">
<title>Few-shot CLIP adaptation: report</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Few-shot CLIP adaptation</h1>
{content}
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _picture(caption: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    text = html.escape(caption)
    return f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'
