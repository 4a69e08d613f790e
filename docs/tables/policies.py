"""The rules, as their classes describe themselves, and what they cost: docs/policies.md and docs/policies/."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sam2rl_tracker.policies.registry import BUILTIN
from sam2rl_tracker.policies.rules import Rule, find_rule
from tables.cells import ABSENT, between, fraction, table
from tables.files import DOCS, read


def rules() -> list[str]:
    """The shipped rules that have a page, as they describe themselves, with what they cost."""
    costs = {row["rule"]: row for row in read("rule-cost")["rows"]}
    lines = []
    for rule in _built_in():
        if rule.about is None or not _has_page(rule):
            continue
        aliases = "".join(f" (`{alias}`)" for alias in rule.aliases)
        cost = costs.get(rule.name, {})
        one, five = between(cost.get("low"), cost.get("high")), between(cost.get("five"))
        page = f"[`{rule.name}`](policies/{rule.name}.md){aliases}"
        lines.append([page, rule.about.title, rule.about.paper, rule.exactness, one, five])
    return table(["Name", "Title", "Source", "How exact", "1 object", "5 objects"], lines)


def baselines() -> list[str]:
    """The shipped rules that have no page."""
    lines = []
    for rule in _built_in():
        if not _has_page(rule):
            parameters = " ".join(f"`{one.name}` = {one.default}. {one.meaning}" for one in rule.parameters)
            lines.append([f"`{rule.name}`", rule.summary, parameters])
    return table(["Name", "Rule", "Parameter"], lines)


def _built_in() -> list[Rule]:
    return [find_rule(name) for name in BUILTIN]


def _has_page(rule: Rule) -> bool:
    return (DOCS / "policies" / f"{rule.name}.md").is_file()


def mosam_parts() -> list[str]:
    """What each part of MoSAM-style does, between SAM 2's rule and the whole, on the videos of `generated`."""
    whole = {row["rule"]: row for row in read("generated-64")["rows"]}
    rows = [{**whole["recency"], "rule": "`recency`"}, *read("mosam-64")["rows"]]
    return _parts([*rows, {**whole["MoSAM"], "rule": "default: all but dense"}])


def _parts(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Rules and their measures; behind Quality the mean difference to SAM 2's and its standard error, if there."""
    lines = []
    for row in rows:
        quality, *rest = (fraction(row[key]) for key in ("quality", "accuracy", "robustness", "absent"))
        if "difference" in row:
            difference, error = row["difference"]
            quality += f" ({'-' if difference < 0 else '+'}{fraction(abs(difference))} ± {fraction(error)})"
        lines.append([row["rule"], quality, *rest])
    return table(["", "Quality", "Accuracy", "Robustness", ABSENT], lines)


def numbers() -> dict[str, str]:
    costs = {row["rule"]: row for row in read("rule-cost")["rows"]}
    others = [row for rule, row in costs.items() if rule != "recency"]
    return {
        "rule-cost.all": between(min(row["low"] for row in others), max(row["high"] for row in others)),
        **{f"rule-cost.{rule}": between(row["low"], row["high"]) for rule, row in costs.items()},
        **{f"rule-cost.{rule}_five": between(row["five"]) for rule, row in costs.items() if "five" in row},
    }


TABLES: dict[str, Callable[[], list[str]]] = {
    "rules": rules,
    "baselines": baselines,
    "mosam-64": mosam_parts,
    "mosam-earlier": lambda: _parts(read("mosam-earlier")["rows"]),
}
