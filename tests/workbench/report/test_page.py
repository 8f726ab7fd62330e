"""Everything that a report writes, and the page in a real browser where there is one."""

import base64
import hashlib
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image
from reporting import make_analysis, make_run, make_study, write_analysis, write_study

from imo.workbench.cli import call

EVIL = '<script>document.title="owned"</script>"\'&$\\x$'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def settings():
    """Matplotlib's, without the backend, which is looked for when it is first asked after."""
    return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """An output folder with everything that a report can show, and a hostile dataset name; reported once."""
    root = tmp_path_factory.mktemp("output")
    shifted = [
        make_run(t, 4, s, 40.0 + s, "Birds-blur-3", trained_on="Birds") for t in ("TipX", "TipXPP") for s in (1, 2)
    ]
    write_study(root, [*make_study(), *shifted, make_run("TipX", 4, 1, 12.0, EVIL)])
    write_analysis(root, make_analysis())
    correct = np.arange(6 * 5 * 2, dtype=np.int32).reshape(6, 5, 2)
    folder = root / "Birds/TipX-none/glyph_4shots/seed1"
    axes = {"alphas": np.linspace(0, 20, 6), "betas": np.linspace(0, 20, 5), "gammas": np.arange(2.0)}
    np.savez(folder / "surface.npz", **axes, correct=correct, n=np.array(80))
    before = settings()
    assert call("report", [str(root)]) == 0
    assert settings() == before
    return root


@pytest.fixture(scope="module")
def page(root):
    return (root / "report/report.html").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Tags with their attributes, open ones at the end, and the rows of each section's table."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.rows, self.section, self.cell = [], [], {}, None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "section":
            self.section = self.rows.setdefault(dict(attrs)["id"], [])
        if tag == "tr":
            self.section.append([])
        if tag in ("td", "th"):
            self.section[-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.cell = False

    def handle_data(self, data):
        if self.cell:
            self.section[-1][-1] += data


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(page):
    reader = Reader(page)
    assert reader.open == []
    for tag, attrs in reader.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            assert name not in attrs or attrs[name].startswith("data:image/"), (tag, attrs)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert "url(" not in page and "@import" not in page
    pictures = [attrs["src"] for tag, attrs in reader.tags if tag == "img"]
    assert len(pictures) == 5  # curves, gain against overlap, two histograms, the search
    for picture in pictures:
        assert ElementTree.fromstring(base64.b64decode(picture.split(",")[1])).tag.endswith("svg")


def test_the_policy_lets_the_pages_own_script_run_and_no_other(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert {attrs.get("content") for tag, attrs in Reader(page).tags if tag == "meta"} >= {policy}
    assert "table.sortable" in script


def test_the_page_shows_every_run_and_escapes_what_it_is_told(page):
    reader = Reader(page)
    runs = reader.rows["provenance"][1:]
    assert len(runs) == len(make_study()) + 4 + 1
    assert EVIL in {row[0] for row in runs}
    assert EVIL not in page
    assert {row[9] for row in runs} == {"val (full)", "nothing"}
    assert all(re.fullmatch(r"glyph b{12}", row[11]) for row in runs)
    assert "Birds/TipXPP-adapter/glyph_4shots/seed2" in {row[14] for row in runs}
    assert set(reader.rows) == {
        "accuracy_1shots", "accuracy_4shots", "gains", "gain_vs_overlap", "variance", "overlap", "confused",
        "shift-Birds", "provenance",
    }  # fmt: skip


def test_every_table_and_picture_is_written_in_every_format(root):
    folder = root / "report"
    for name in ("accuracy_1shots", "accuracy_4shots", "gains", "variance", "shift-Birds", "provenance", "overlap"):
        assert all((folder / f"{name}.{kind}").stat().st_size for kind in ("md", "csv", "tex"))
    for name in ("curves", "gain_vs_overlap", "overlap_image-Birds", "overlap_text-Birds", "surface-Birds"):
        pixels = np.asarray(Image.open(folder / f"{name}.png").convert("L"))
        assert pixels.min() < 80 and (pixels == 255).mean() > 0.3
        edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (edge == 255).all(), f"{name} is clipped"
        ElementTree.parse(folder / f"{name}.svg")
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_the_same_runs_give_the_same_files(root):
    def content():
        return {path.name: path.read_bytes() for path in (root / "report").iterdir()}

    before = content()
    assert call("report", [str(root)]) == 0
    assert content() == before


def test_bad_folders_are_one_line_and_status_2(tmp_path, capsys):
    assert call("report", [str(tmp_path / "absent")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "absent").exists()


@pytest.fixture
def browse(tmp_path):
    """browse(page, *options): what a headless Chromium makes of a page."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")

    def run(text, *options):
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        flags = (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'profile'}",
        )
        command = [found, *flags, *options, path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout

    return run


def test_a_browser_shows_the_page_and_obeys_only_its_script(page, browse, tmp_path):
    picture = tmp_path / "page.png"
    browse(page, f"--screenshot={picture}", "--window-size=1200,1600")
    pixels = np.asarray(Image.open(io.BytesIO(picture.read_bytes())).convert("L"))
    assert pixels.min() < 60 and 0.5 < (pixels == 255).mean() < 0.99
    strange = page.replace("</body>", "<script>document.title='owned'</script></body>")
    assert "<title>Few-shot CLIP adaptation: report</title>" in browse(strange, "--dump-dom")


def test_tables_sort_by_value_both_ways(page, browse):
    policy = re.compile(r"<meta http-equiv.*?>", re.DOTALL)
    for clicks, reverse in ((1, False), (2, True)):
        press = f"""<script>
            const heads = document.querySelectorAll("#provenance th button");
            for (let i = 0; i < {clicks}; i++) heads[6].click();
            onload = () => {{ document.title = [...document.images].every(image => image.naturalWidth > 0); }};
        </script></body>"""
        dom = browse(policy.sub("", page).replace("</body>", press), "--dump-dom")
        accuracies = [float(row[6]) for row in Reader(dom).rows["provenance"][1:]]
        assert len(accuracies) > 10 and accuracies == sorted(accuracies, reverse=reverse)
        assert accuracies != sorted(accuracies, reverse=not reverse)
        assert "<title>true</title>" in dom
