"""Measured numbers stand in one place: the pages take them in by a command, and nothing has drifted."""

from __future__ import annotations

import re
from pathlib import Path

import draw_budget
import draw_policies
import make_tables
import pytest
from tables.files import read

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_no_page_is_out_of_date() -> None:
    assert make_tables.main(["--check"]) is None


def test_every_measurement_tells_how_it_was_made() -> None:
    for path in (DOCS / "numbers").glob("*.json"):
        if path.stem != "nano-goals":  # wishes, not measurements
            assert {"what", "command", "model", "machine", "recorded", "rows"} <= set(read(path.stem)), path.name


MEASURED = [
    "README.md",
    *(f"docs/{name}.md" for name in ("results", "benchmark", "limits", "models", "faq", "policies", "speed")),
]
MEASURED += [f"docs/policies/{path.name}" for path in sorted((DOCS / "policies").glob("*.md"))]


@pytest.mark.parametrize("page", MEASURED)
def test_tables_of_numbers_come_from_files(page: str) -> None:
    by_hand = make_tables.NUMBER.sub("", make_tables.BLOCK.sub("", (ROOT / page).read_text()))
    by_hand = re.sub(r"^\|.*\| Default \|.*\n(?:\|.*\n)+", "", by_hand, flags=re.MULTILINE)  # what is set
    by_hand = re.sub(r"`[^`\n]+`|SAM 2\.1|sam2 \d\.\d\.\d|arXiv:\S+", "", by_hand)  # names
    assert not re.findall(r"^\|.*(?:\d|\B)\.\d.*\|$", by_hand, re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/results.md", "docs/benchmark.md"])
def test_what_saw_the_truth_says_so_in_every_table(page: str) -> None:
    text = (ROOT / page).read_text()
    rows = re.findall(
        r"^\| (SAM2RL(?!-G)|agent|beam|(?:random|greedy|local) search|best found)(.*?) \|", text, re.MULTILINE
    )
    assert rows
    for name, label in rows:
        assert re.search(r"ground truth it is scored on\)$", label), f"{page}: {name}{label}"


def test_a_changed_number_is_found_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "It takes <!-- n: demo.seconds -->99 s<!-- /n --> here.\n\n<!-- table: demo -->\n| a |\n<!-- end -->\n"
    )
    monkeypatch.setattr(make_tables, "PAGES", (page,))
    monkeypatch.setattr(make_tables, "DOCS", tmp_path / "docs")  # pages are named by their way from its parent
    monkeypatch.setattr(make_tables, "TABLES", {"demo": lambda: ["| b |", "|--|"]})
    monkeypatch.setattr(make_tables, "numbers", lambda: {"demo.seconds": "131 s"})
    assert make_tables.main(["--check"]) == "Out of date: page.md. Run `python docs/make_tables.py`."
    assert "99 s" in page.read_text()
    assert make_tables.main([]) is None
    assert page.read_text() == (
        "It takes <!-- n: demo.seconds -->131 s<!-- /n --> here.\n\n"
        "<!-- table: demo -->\n\n| b |\n|--|\n\n<!-- end -->\n"
    )
    assert make_tables.main(["--check"]) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<!-- table: demo -->\n| a |\n", "not closed"),
        ("It takes <!-- n: demo.seconds --> 1 s.\n", "not closed"),
        ("<!-- table: demo -->\n<!-- table: speed -->\n<!-- end -->\n", "not closed"),
        ("<!-- table: typo -->\n<!-- end -->\n", "asks for `typo`, which is none of: real-videos,"),
        ("It takes <!-- n: typo --><!-- /n -->.\n", "asks for `typo`"),
        ("<!-- measured: typo -->\n<!-- end -->\n", r"typo\.json does not exist"),
        ("It takes\n<!-- n: demo.seconds --><!-- /n -->.\n", "first on a line"),
    ],
)
def test_a_marker_that_cannot_be_filled_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SystemExit, match=sentence):
        make_tables.fill(text, "page.md")


def test_every_table_is_asked_for() -> None:
    text = "".join(page.read_text() for page in make_tables.PAGES)
    assert set(make_tables.TABLES) == set(re.findall(r"<!-- table: (\S+) -->", text))


def test_pictures_want_their_workspaces() -> None:
    sentence = draw_budget.main("P")
    assert sentence.startswith("1 workspaces were given, expected 3, one for each of: default method")
    assert callable(draw_policies.main)  # what it imports is there
