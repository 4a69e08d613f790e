"""Rules as data: each shipped rule answers for itself, and says what its code says."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from sam2rl_tracker.policies import About, Basis, Policy, policy_by_name
from sam2rl_tracker.policies.recency import Recency
from sam2rl_tracker.policies.registry import BUILTIN
from sam2rl_tracker.policies.rules import find_rule

ROOT = Path(__file__).parents[2]


@dataclass
class Parent(Recency):
    """Keeps.

    Source: Somebody et al., "A Title
    of two lines" (arXiv:1).

    It ends there.

    Attributes:
        first: One line,
            and another: with a colon.
        second: Of the parent.
    """

    first: int = 1
    second: str = "x"


@dataclass
class Child(Parent):
    """Keeps less.

    Attributes:
        second: Of the child.
    """


@pytest.mark.parametrize("name", BUILTIN)
def test_a_shipped_rule_has_all_answers(name: str) -> None:
    rule = find_rule(name)
    about = rule.about
    assert about is not None
    for field in fields(about):
        if field.name not in ("paper", "compared"):
            assert getattr(about, field.name), field.name
    assert all(one.meaning.endswith(".") for one in rule.parameters)
    if about.basis is not Basis.OWN:
        arxiv = re.search(r"arXiv:[0-9.]+", about.paper)
        assert arxiv is not None
        assert arxiv[0] in rule.source
        assert (ROOT / "docs" / "policies" / f"{name}.md").is_file()


@pytest.mark.parametrize("name", BUILTIN)
def test_a_rule_that_treats_corrections_its_own_way_says_so(name: str) -> None:
    policy_class, about = policy_by_name(name), find_rule(name).about
    assert about is not None
    own_way = policy_class.correct is not Policy.correct or not policy_class.takes_corrections
    (default,) = (field.default for field in fields(About) if field.name == "corrected")
    assert (about.corrected != default) == own_way
    assert about.corrected.startswith("Refused") == (not policy_class.takes_corrections)


def test_titles_are_those_of_the_trackers() -> None:
    registry = configparser.ConfigParser()
    registry.read(ROOT / "trackers.ini")
    for tracker in registry.sections():
        policy = re.search(r'policy="(\w+)"', registry[tracker]["command"])
        assert policy is not None
        about = find_rule(policy[1]).about
        assert about is not None
        assert about.title == registry[tracker]["label"]


def test_a_rule_is_found_by_what_policy_takes() -> None:
    assert find_rule("samurai:stable_frames=3,memory_iou=0.6") == find_rule("samurai")
    assert find_rule("sam2:").name == "recency"
    assert find_rule(f"{__name__}:Child:x=1").name == f"{__name__}:Child"


def test_docstrings_are_read_over_lines_and_meanings_from_parents() -> None:
    parent, child = find_rule(f"{__name__}:Parent"), find_rule(f"{__name__}:Child")
    assert parent.source == 'Somebody et al., "A Title of two lines" (arXiv:1).'
    assert [one.meaning for one in parent.parameters] == ["One line, and another: with a colon.", "Of the parent."]
    assert [one.meaning for one in child.parameters] == ["One line, and another: with a colon.", "Of the child."]
