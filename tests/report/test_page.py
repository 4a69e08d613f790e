"""The page: complete in itself, labelled, with the numbers of the toolkit; and in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.boxes import BoxMeasures
from sam2rl_tracker.media.output_folder import output_folder
from sam2rl_tracker.report.page import benchmark_rows, check_page_folder, write_page
from sam2rl_tracker.report.table import other_benchmarks
from sam2rl_tracker.report.words import points
from sam2rl_tracker.vot.analysis import Analysis
from sam2rl_tracker.vot.collect import Report
from sam2rl_tracker.vot.results import Failure
from sam2rl_tracker.vot.scoring import complete

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_VOID = {"meta", "link", "img", "br", "input", "hr"}


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects what a page refers to, its texts and table rows."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.images = 0
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.feed(page.read_text())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.references += [value or "" for key, value in attrs if key in ("src", "href", "srcset", "data", "poster")]
        self.ids += [found["id"] or ""] if "id" in found else []
        self.images += tag == "img"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip() + " " * bool(data.strip())

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def reader(page) -> Reader:
    return Reader(page)


def test_the_page_needs_nothing_but_itself(page, reader):
    assert reader.images > 10
    ids = set(reader.ids)
    assert len(ids) == len(reader.ids)
    for reference in reader.references:
        assert reference.startswith("data:") or reference[1:] in ids, reference
    text = page.read_text()
    for scheme in ("http:", "https:", "file:", "@import"):
        assert scheme not in text
    assert set(re.findall(r"url\(([^)]{2})", text)) <= {"#a", "#d", "#m", "#q", "#s", "#t"}  # clips of plots


def test_the_table_shows_the_measures(made, reader):
    (row,) = (row for row in reader.rows if row[0].startswith("Other") and len(row) == 7)
    overall, base = made.results.overall["Other"], made.results.overall["SAM2"]
    for cell, name in zip(row[1:], ("quality", "accuracy", "robustness", "nre", "dre", "adq"), strict=True):
        value, change = cell.split()[:2]
        assert value == f"{100 * getattr(overall, name):.1f}"
        assert change == points(getattr(overall, name) - getattr(base, name))
    (row,) = (row for row in reader.rows if row[0].startswith("two&more"))
    qualities = [f"{100 * made.results.by_sequence['two&more'][name].quality:.1f} " for name in made.results.trackers]
    assert row[1:] == qualities


def test_measures_of_other_benchmarks_have_a_table(made, reader):
    rows = reader.rows[reader.rows.index(["Tracker ", "J ", "F ", "J&F "]) + 1 :][:3]
    assert [row[0] for row in rows] == ["SAM2 ", "SAM2RL (trained on this truth) ", "Other "]
    for row, (_, measures) in zip(rows, complete(made.workspace.folder, made.report).masks.items(), strict=True):
        assert row[1:] == [f"{100 * value:.1f} " for value in (measures.j, measures.f, measures.j_and_f)]
    assert "Success AUC" not in reader.text  # no truth is a box
    note = reader.text.partition("the last of the video.")[2].partition("Plots")[0]
    assert "SAM2RL was trained on the ground truth that it is scored on." in note


def test_a_table_of_boxes(made):
    boxes = {"SAM2": BoxMeasures(0.5, 0.75, 0.25, None, None, None), "Other": BoxMeasures(0.4, 0.75, 0.5, 0.5, 1, 0)}
    (table,) = other_benchmarks(replace(made.report, boxes=boxes))
    rows = benchmark_rows(table)
    assert [head for head, _ in table.heads.values()][:2] == ["Success AUC", "Precision"]
    assert [cell.text for cell in rows["SAM2"].values()] == ["50.0", "75.0", "25.0", "–", "–", "–"]
    assert [cell.best for cell in rows["SAM2"].values()] == [True, True, False, False, False, False]
    assert [cell.best for cell in rows["Other"].values()] == [False, True, True, True, True, True]


def test_what_has_seen_the_truth_and_what_failed_is_named(reader):
    assert "SAM2RL, trained on this truth, reaches 88.6 %" in reader.text
    assert "The prompted frame and the six frames before the current one" in reader.text  # SAM 2's rule
    assert "SAM2RL was trained on the ground truth that it is scored on." in reader.text
    assert "Broken has no complete results on sequence one: object 1 has 5 frames of 24" in reader.text
    assert not any(re.match(r"SAM2RL(?! \((trained)|\*)", row[0]) for row in reader.rows)


def test_training_memory_and_settings_are_there(made, reader):
    assert "1 training, each on the ground truth" in reader.text
    assert "did not record the policy's entropy" in reader.text
    assert "SAM2RL never used 86 % of the frames as a memory" in reader.text
    for what in (
        "torch",
        "vot-toolkit",
        "Python",
        "Made with nano 0123, cpu",
        "vot evaluate --workspace",
        str(made.workspace.folder),
    ):
        assert what in reader.text


def test_the_figures_are_files_too(page):
    figures = page.parent / "figures"
    names = {"measures", "accuracy-robustness", "quality-plot", "differences", "memory", "training", "searches"}
    assert {file.stem for file in figures.glob("*.pdf")} == names
    for name in names:
        assert (figures / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert min(Image.open(figures / f"{name}.png").size) > 200
    assert {file.stem for file in (figures / "objects").glob("*.svg")} == {"one_1", "two&more_1", "two&more_3"}
    for file in (figures / "objects").glob("*.svg"):
        assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert Image.open(file.with_suffix(".png")).height > 200


def test_a_page_where_nothing_is_complete(made, tmp_path):
    report = Report(Analysis({}, {}), [Failure("SAM2", "one", "it <died>")], frozenset())
    reader = Reader(write_page(made.workspace.folder, report, tmp_path / "page"))
    assert "No tracker has complete results" in reader.text
    assert "SAM2 has no complete results on sequence one: it <died>" in reader.text
    assert reader.images == 0


@pytest.mark.slow
def test_a_page_without_the_baseline(made, tmp_path):
    analysis = made.report.analysis
    others = Analysis(
        {"Other": analysis.trackers["Other"]},
        {name: {"Other": row["Other"]} for name, row in analysis.sequences.items()},
    )
    reader = Reader(write_page(made.workspace.folder, replace(made.report, analysis=others), tmp_path / "page"))
    assert "Other has the highest quality: 72.7 %" in reader.text
    assert "difference" not in reader.ids


def test_a_folder_of_somebody_else_is_left_alone(made, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(Sam2rlError, match="is not empty"):
        write_page(made.workspace.folder, made.report, tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


def test_files_of_the_user_stay_in_a_page_folder(made, tmp_path):
    report = Report(Analysis({}, {}), [Failure("SAM2", "one", "it died")], frozenset())
    folder = tmp_path / "page"
    with output_folder(folder, "report") as output:  # as an earlier report left it
        for name in ("index.html", "figures/old.png", "figures/objects/old_1.svg"):
            with output.write(name) as path:
                path.write_text("old")
    for name in ("figures/mine.png", "notes.pdf"):
        (folder / name).write_text("mine")
    write_page(made.workspace.folder, report, folder)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.*") if not path.name.startswith(".")}
    assert files == {"index.html", "figures/mine.png", "notes.pdf"}
    (folder / "index.html").write_text("mine, by hand")
    with pytest.raises(Sam2rlError, match=r"index\.html was changed after sam2rl wrote it"):
        write_page(made.workspace.folder, report, folder)
    assert (folder / "index.html").read_text() == "mine, by hand"


@pytest.mark.parametrize("place", ["sequences", "sequences/page", "sequences/one/color/page", "results/page"])
def test_no_page_goes_among_the_data(made, place):
    workspace = made.workspace.folder
    before = sorted(workspace.rglob("*"))
    with pytest.raises(Sam2rlError, match=r"is an input of|lies in the input folder"):
        check_page_folder(workspace, workspace / place)
    assert sorted(workspace.rglob("*")) == before


# ---------------------------------------------------------------- browser


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(page: Path, browser, width, scheme):
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate("document.querySelectorAll('details').length") == 3
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    tab.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    tab.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    boxes = tab.evaluate("[...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect().height)")
    assert len(boxes) == 7
    assert min(boxes) > 100
    ink = tab.evaluate("getComputedStyle(document.body).color")
    assert (int(re.findall(r"\d+", ink)[0]) > 128) == (scheme == "dark")

    first = "#table tbody tr:first-child th"
    assert tab.inner_text(first) == "SAM2"
    tab.click("#table thead th:nth-child(2) button")
    assert tab.inner_text(first) == "SAM2RL (trained on this truth)"
    tab.click("#table thead th:nth-child(2) button")
    assert tab.inner_text(first) == "SAM2"
    tab.click("#table thead th:nth-child(1) button")
    assert tab.inner_text(first) == "SAM2"

    tab.click("#benchmarks thead th:nth-child(4) button")
    assert tab.inner_text("#benchmarks tbody tr:first-child th") == "SAM2RL (trained on this truth)"

    tab.click("[data-toggle=Other]")
    assert tab.evaluate("document.querySelectorAll('.line.off').length") == 3
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]
    tab.close()


def test_the_page_without_javascript(page: Path, browser):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    assert tab.locator("#table tbody tr").count() == 3
    assert tab.locator("#sequences a").first.get_attribute("href") == "#one_1"
    assert tab.locator("details[open]").count() == 1
    context.close()
