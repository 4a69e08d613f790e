"""Names of policies: parameters, classes by path, and those that another package registers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies import describe_policies, make_policy, policy_names
from sam2rl_tracker.policies.rules import Rule, find_rule, find_rules

PACKAGE = '''
"""Somebody else's package."""
from dataclasses import dataclass
from sam2rl_tracker.policies.recency import Recency

@dataclass
class Forgetful(Recency):
    """Remembers less."""
    keep: int = 2
    wise: bool = False

class NoPolicy:
    pass

@dataclass
class Optional(Recency):
    keep: "int | None" = None

@dataclass
class Integral(Recency):
    weight: float = 1
'''
ENTRY_POINTS = "[sam2rl.policies]\nforgetful = elsewhere:Forgetful\nbroken = nowhere_at_all:Policy\n"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that registers two policies, one of which cannot be imported."""
    (tmp_path / "elsewhere.py").write_text(PACKAGE)
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "elsewhere", raising=False)


@pytest.mark.usefixtures("elsewhere")
def test_another_package_registers_a_policy() -> None:
    assert "forgetful" in policy_names()
    policy = make_policy("forgetful:keep=4,wise=yes")()
    assert (policy.keep, policy.wise) == (4, True)  # type: ignore[attr-defined]
    with pytest.raises(Sam2rlError, match="'broken' of the package 'nowhere_at_all:Policy' cannot be imported"):
        make_policy("broken")


@pytest.mark.usefixtures("elsewhere")
def test_a_broken_package_hides_no_other_policy() -> None:
    lines = describe_policies()
    assert any(line.startswith("broken  (Policy 'broken'") for line in lines)
    assert "forgetful:keep=2,wise=False  Remembers less." in lines
    rules = find_rules()
    assert isinstance(rules["broken"], Sam2rlError)
    assert isinstance(rules["samurai"], Rule)


@pytest.mark.usefixtures("elsewhere")
def test_a_rule_that_does_not_describe_itself_is_not_described_by_its_parent() -> None:
    rule = find_rule("forgetful")
    assert (rule.about, rule.source, rule.exactness) == (None, "", "not said")
    assert [(one.name, one.default, one.meaning) for one in rule.parameters] == [("keep", 2, ""), ("wise", False, "")]
    assert rule.as_json()["about"] is None


@pytest.mark.usefixtures("elsewhere")
def test_a_class_by_its_path() -> None:
    policy = make_policy("elsewhere:Forgetful:keep=3")()
    assert policy.keep == 3  # type: ignore[attr-defined]
    assert make_policy("elsewhere:Integral:weight=0.5")().weight == 0.5  # type: ignore[attr-defined]
    assert type(make_policy("elsewhere:Forgetful")()).__name__ == "Forgetful"
    for path, message in {
        "elsewhere:Nothing": "no class 'Nothing'",
        "elsewhere:NoPolicy": "not a subclass",
        "missing_module:Class": "'missing_module' cannot be imported",
        "elsewhere:Optional": "'keep' must be an int, float, bool or str with a default",
        ".relative:Class": "cannot be imported",
    }.items():
        with pytest.raises(Sam2rlError, match=message):
            make_policy(path)


def test_each_factory_call_gives_a_fresh_policy() -> None:
    make = make_policy("samurai")
    assert make() is not make()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "nonsense",
            "give one of d4sm, dam4sam, him2sam, learned, mosam, .*recency, sam2, sam2long, .*sam3, samite, samurai",
        ),
        ("samurai:typo=1", "no parameter 'typo': it takes appear_score=-1.0"),
        ("samurai:stable_frames=many", "stable_frames=many is no int"),
        ("recency:x=1", "it takes none"),
        ("samurai:kalman_weight=nan", "no finite float"),
        ("samurai:stable_frames=-3", "stable_frames must be at least 1"),
        ("dam4sam:ram_stride=0", "ram_stride must be at least 1"),
        ("samurai:kalman_weight", "unknown|no parameter|cannot be imported"),
        ("sam2rl:agent=x", "no parameter 'agent': it takes agents="),
    ],
)
def test_bad_specs_say_what_exists(spec: str, message: str) -> None:
    with pytest.raises(Sam2rlError, match=message):
        make_policy(spec)
