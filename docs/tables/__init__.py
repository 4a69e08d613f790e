"""Tables and numbers of the documents, a module for each page or for a few that show the same.

A module has `TABLES`, the lines of each table by the name that a page asks for, and `numbers()`, the numbers that its
sentences name and no file holds as they are. A new table is a function there and its line in `TABLES`. A new module is
entered in `MODULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tables import benchmark, learn, many_machines, policies, results, speed
from tables.files import DOCS, read

MODULES = (results, benchmark, policies, speed, many_machines, learn)
TABLES: dict[str, Callable[[], list[str]]] = {name: make for module in MODULES for name, make in module.TABLES.items()}


@cache
def numbers() -> dict[str, str]:
    """Every number that a sentence may name: the `facts` of docs/numbers/ as FILE.FACT, and those of the modules."""
    facts = {
        f"{path.stem}.{key}": str(value)
        for path in sorted((DOCS / "numbers").glob("*.json"))
        for key, value in read(path.stem).get("facts", {}).items()
    }
    return facts | {name: value for module in MODULES for name, value in module.numbers().items()}
