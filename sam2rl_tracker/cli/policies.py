"""`sam2rl policies`: the memory rules and what each answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sam2rl_tracker.cli.options import Json, print_json
from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.policies.rules import Rule


def policies(
    name: Annotated[str | None, typer.Argument(help="A rule, or module:Class; without it all are listed.")] = None,
    as_json: Json = False,
) -> None:
    """List the memory rules, or show one: what it attends to and remembers, its parameters, source and exactness."""
    from sam2rl_tracker.policies.rules import find_rule, find_rules

    if name is not None:
        rule = find_rule(name)
        if as_json:
            print_json(rule.as_json())
        else:
            _show(rule)
        return
    rules = find_rules()
    if as_json:
        listed = {
            key: {"error": str(found)} if isinstance(found, Sam2rlError) else found.as_json()
            for key, found in rules.items()
        }
        print_json({"policies": listed})
        return
    table = Table("Name", "What it does", "How exact")
    for key, found in rules.items():
        if isinstance(found, Sam2rlError):
            table.add_row(key, escape(str(found)), "-")
        else:
            table.add_row(", ".join((key, *found.aliases)), escape(found.summary), escape(found.exactness))
    table.caption = "sam2rl policies NAME shows one, its parameters too"
    Console().print(table)


def _show(rule: Rule) -> None:
    about = rule.about
    table = Table(show_header=False)
    table.add_row("name", ", ".join((rule.name, *rule.aliases)))
    if about:
        table.add_row("title", escape(about.title))
    table.add_row("what it does", escape(rule.summary))
    if about:
        table.add_row("attends to", escape(about.attends))
        table.add_row("remembers", escape(about.remembers))
        table.add_row("its output", escape(about.chooses))
        table.add_row("visible when", escape(about.visible))
        table.add_row("a correction", escape(about.corrected))
    if rule.source:
        table.add_row("source", escape(rule.source))
    table.add_row("how exact", escape(rule.exactness))
    Console().print(table)
    if rule.parameters:
        parameters = Table("Parameter", "Default", "Meaning")
        for one in rule.parameters:
            parameters.add_row(one.name, escape(str(one.default)), escape(one.meaning))
        Console().print(parameters)
    else:
        print("It has no parameters.")
