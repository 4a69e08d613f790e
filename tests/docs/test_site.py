"""The documentation site builds without warnings, loads nothing from other hosts, and its commands exist."""

from __future__ import annotations

import html
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sam2rl_tracker.cli.main import app

pytestmark = pytest.mark.slow  # the site is built
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What a page loads by itself; a link that a reader may follow is none of these.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc\s*=\s*["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b[^>]*?\bhref\s*=\s*["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|url\(\s*["']?((?:https?:)?//[^"')]+)|@import\s+["']((?:https?:)?//[^"']+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with every warning taken for an error."""
    for module in ("material", "mkdocstrings"):
        pytest.importorskip(module, reason=f'{module} is not installed: pip install -e ".[docs]"')
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "mkdocs.yml"), "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # a notice of the theme, which is no warning of the build
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    for page in PAGES[1:]:
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file()
    assert not list(site.rglob("*.py"))


def test_the_examples_are_shown(site: Path) -> None:
    """Each script is on the page, and no page shows the line that would take a file in."""
    shown = "".join((html.unescape(re.sub(r"<[^>]+>", "", (site / "examples.html").read_text()))).split())
    for script in sorted((ROOT / "examples").glob("*.py")):
        assert "".join(script.read_text().split()) in shown, script.name
    for page in site.rglob("*.html"):
        assert "--8" not in re.sub(r"<[^>]+>", "", page.read_text()), page.name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_to_be_written(page: Path) -> None:
    assert not re.findall(r"\b[A-Z]+_PLACEHOLDER\b|\bTODO\b", page.read_text())


@pytest.mark.parametrize("module", ["sam2rl_tracker.engine", "sam2rl_tracker.policies", "sam2rl_tracker.agents"])
def test_the_reference_has_what_a_room_exports(site: Path, module: str) -> None:
    text = "".join(page.read_text() for page in (site / "api").glob("*.html"))
    exported = importlib.import_module(module)
    described = [name for name in exported.__all__ if getattr(getattr(exported, name), "__doc__", None)]
    missing = [name for name in described if callable(getattr(exported, name)) and f'id="{module}.{name}"' not in text]
    assert not missing


def test_nothing_comes_from_other_hosts(site: Path) -> None:
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css", ".svg")]
    assert files
    for file in files:
        found = [next(filter(None, groups)) for groups in LOADED.findall(file.read_text())]
        assert not found, f"{file.relative_to(site)} loads {found}"


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://a.b/c.js"></script>',
        "<link rel=preconnect href=https://fonts.gstatic.com crossorigin>",
        '<link rel="stylesheet" href="//a.b/c.css">',
        "@font-face{src:url(https://a.b/c.woff2)}",
    ],
)
def test_what_would_be_found(text: str) -> None:
    assert LOADED.search(text)


def commands(text: str) -> list[list[str]]:
    """The words of every `sam2rl` command in code, continued lines joined."""
    text = text.replace("\\\n", " ")
    code = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    code += re.findall(r"^    (\S.*)$", text, re.MULTILINE)  # indented blocks
    code += re.findall(r"(?<!`)`(sam2rl [^`]+)`(?!`)", text)
    lines = [line for block in code for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|;|\bdo\b", line.partition(" #")[0])]
    return [shlex.split(part)[1:] for part in parts if part.startswith("sam2rl ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    root = typer.main.get_command(app)
    for words in commands(page.read_text()):
        command = root
        for word in words:
            known = getattr(command, "commands", {})
            if not known:
                break
            if not re.fullmatch(r"[a-z-]+", word) or word.startswith("-"):  # {list,info}: several at once
                break
            assert word in known, f"{page.name}: sam2rl {' '.join(words)}: {word} is none of {', '.join(known)}"
            command = known[word]
        if getattr(command, "commands", {}):
            continue
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]
        assert not unknown, f"{page.name}: sam2rl {' '.join(words)}: there is no {', '.join(unknown)}"


def test_there_are_commands_to_check() -> None:
    assert len([words for page in PAGES for words in commands(page.read_text())]) > 40
