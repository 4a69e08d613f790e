"""Put every measured number of the documents in its place, from the one file that holds it.

python docs/make_tables.py            rewrite what stands between markers in README.md, docs/ and nano's card
python docs/make_tables.py --check    change nothing, name what is out of date, and end with 1

What the rules say of themselves comes from their classes, as `sam2rl policies` shows it.

The numbers are in docs/benchmark/, as `sam2rl benchmark` wrote them, and in docs/numbers/, a file for each measurement:
commands, model, machine, the day on which the numbers were entered, the rows as they were printed, and under `facts`
single numbers that sentences name. To enter a new measurement, change the file with its date, and run this script.

Three kinds of markers take the numbers in. They are invisible on the rendered page:

    <!-- table: NAME --> ... <!-- end -->       a table, one of docs/tables/
    <!-- measured: NAME --> ... <!-- end -->    how docs/numbers/NAME.json was made: commands, model, machine, day
    <!-- n: NAME -->...<!-- /n -->              a number in a sentence, one of its `numbers`; never first on its line,
                                                where Markdown would begin a block of HTML
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

from tables import TABLES, numbers
from tables.files import CARD, DOCS, measured

PAGES = (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md")), CARD)
BLOCK = re.compile(r"(<!-- (table|measured): (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"(<!-- n: (\S+) -->).*?(<!-- /n -->)", re.DOTALL)
OPENING = re.compile(r"<!-- (?:table|measured|n): \S+ -->")


def main(arguments: Sequence[str] | None = None) -> str | None:
    """Bring the pages up to date, or say which are not: a sentence, or None."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 where a page is out of date")
    check = parser.parse_args(arguments).check
    stale = []
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = fill(before, page.relative_to(DOCS.parent).as_posix())
        if after == before:
            continue
        stale.append(page.relative_to(DOCS.parent).as_posix())
        if not check:
            page.write_text(after, encoding="utf-8")
    if check and stale:
        return f"Out of date: {', '.join(stale)}. Run `python docs/make_tables.py`."
    return None


def fill(text: str, page: str) -> str:
    """A page's text with everything between its markers written anew.

    Args:
        text: The page.
        page: Its name, for errors.

    Raises:
        SystemExit: A marker is not closed, names what there is not, or stands where Markdown would break.
    """

    def block(match: re.Match[str]) -> str:
        opening, kind, name, closing = match.groups()
        lines = known(TABLES, name)() if kind == "table" else measured(name)
        return "\n".join([opening, *lines, "", closing])

    def number(match: re.Match[str]) -> str:
        opening, name, closing = match.groups()
        return opening + known(numbers(), name) + closing

    def known(names: dict[str, Any], name: str) -> Any:
        if name not in names:
            raise SystemExit(f"{page} asks for `{name}`, which is none of: {', '.join(names)}.")
        return names[name]

    found = [match.group(0) for match in (*BLOCK.finditer(text), *NUMBER.finditer(text))]
    if len(found) != len(OPENING.findall(text)) or any(len(OPENING.findall(match)) > 1 for match in found):
        raise SystemExit(
            f"{page} has a marker that is not closed: a table ends with <!-- end -->, a number with <!-- /n -->."
        )
    if first := re.search(r"^\s*<!-- n: (\S+) -->", text, re.MULTILINE):
        raise SystemExit(f"{page} has the number `{first.group(1)}` first on a line: put a word before it.")
    return NUMBER.sub(number, BLOCK.sub(block, text))


if __name__ == "__main__":
    sys.exit(main())
