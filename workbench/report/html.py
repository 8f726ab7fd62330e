"""One page that needs nothing else: tables that sort, pictures inside, and where every number comes from.

What comes from files is escaped, and the page's own policy lets nothing run but sort.js, and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from imo.workbench.report.formats import Entry, Table, in_markdown
from imo.workbench.report.load import Run
from imo.workbench.report.tables import tuned_on

_HERE = Path(__file__).parent


def provenance(runs: Sequence[Run]) -> Table:
    """Where the numbers come from, a row a run."""
    lines = []
    for run in runs:
        texts = (run.dataset, run.trained_on, run.method, run.correction)
        numbers = (run.shots, run.seed, run.accuracy, run.macro_f1, run.n_test)
        settings = ", ".join(f"{name} {value}" for name, value in run.hyper_parameters.items())
        packages = ", ".join(f"{name} {version}" for name, version in run.versions.items())
        weights = (f"{run.backbone} {run.backbone_sha256[:12]}", (run.adapter_sha256 or "none")[:12])
        shown = [Entry(f"{x:.2f}" if isinstance(x, float) else str(x), x) for x in numbers]
        details = (run.tuned_on, settings, *weights, run.settings, run.folder, packages)
        lines.append((*map(Entry, texts), *shown, *map(Entry, details)))
    header = (
        "dataset", "made on", "method", "correction", "shots", "seed", "accuracy", "macro F1", "n test", "tuned on",
        "hyper-parameters", "backbone and sha256", "adapter sha256", "settings", "folder", "versions",
    )  # fmt: skip
    note = "Checksums are cut to 12 digits; folders lie below the output folder and hold log.txt and results.json."
    return Table("provenance", f"{len(lines)} runs", header, tuple(lines), note)


def protocol(runs: Sequence[Run]) -> str:
    """What the numbers are, in a paragraph of plain text."""

    def all_of(values: Iterable[str | int]) -> str:
        return ", ".join(map(str, sorted(set(values)))) or "nothing"

    return (
        f"Backbone {all_of(run.backbone for run in runs)}; configs {all_of(run.cfg for run in runs)}; "
        f"shots {all_of(run.shots for run in runs)}; seeds {all_of(run.seed for run in runs)}. "
        f"Hyper-parameters were chosen on: {all_of(tuned_on(runs))}. Accuracies are percentages of the test images, "
        f"which were looked at once unless a run was tuned on them."
    )


def _as_markdown(value: object) -> object:
    return in_markdown(value) if type(value) is str else value  # what is Markdown already is Markup, no str


def environment(autoescape: bool) -> Environment:
    """Templates beside this file, of HTML or else of Markdown; a name that a template does not get is an error."""
    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=autoescape,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=None if autoescape else _as_markdown,
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
    script = (_HERE / "sort.js").read_text(encoding="utf-8")
    shown = {
        heading: (tables, {caption: base64.b64encode(path.read_bytes()).decode() for caption, path in pictures.items()})
        for heading, (tables, pictures) in sections.items()
    }
    return environment(autoescape=True).get_template("page.html.j2").render(
        sections=shown,
        protocol=protocol(runs),
        provenance=provenance(runs),
        skipped=skipped,
        script=Markup(script),
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip
