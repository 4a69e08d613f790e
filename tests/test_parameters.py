"""KEY=VALUE onto a dataclass: types, what is refused, and what the errors say."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.parameters import INTERNAL, defaults_of, parse_parameters


@dataclass(frozen=True)
class Settings:
    steps: int = 4
    rate: float = 1
    fast: bool = False
    name: str = ""
    model: object = field(default=None, metadata=INTERNAL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps=-3", {"steps": -3}),
        ("rate=1e-3", {"rate": 0.001}),
        ("rate=2", {"rate": 2.0}),
        *((f"fast={word}", {"fast": True}) for word in ("true", "True", "1", "yes", "YES", "on")),
        *((f"fast={word}", {"fast": False}) for word in ("false", "False", "0", "no", "NO", "off")),
        ("name=", {"name": ""}),
        ("name=a=b", {"name": "a=b"}),
        ("name=${HOME}", {"name": "${HOME}"}),
        ("name=???", {"name": "???"}),
    ],
)
def test_values_are_read_as_the_fields_type(text: str, expected: dict) -> None:
    found = parse_parameters(Settings, [text], "The training")
    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("typo=1", "The training has no parameter 'typo': it takes steps=4, rate=1, fast=False, name=."),
        ("steps", "The training has no parameter 'steps': it takes steps=4, rate=1, fast=False, name=."),
        ("model=1", "The training has no parameter 'model': it takes steps=4, rate=1, fast=False, name=."),
        ("steps=1.5", "The training: steps=1.5 is no int."),
        ("steps=", "The training: steps= is no int."),
        ("steps=None", "The training: steps=None is no int."),
        ("steps=${rate}", "The training: steps=${rate} is no int."),
        ("rate=high", "The training: rate=high is no finite float."),
        ("rate=nan", "The training: rate=nan is no finite float."),
        ("rate=-inf", "The training: rate=-inf is no finite float."),
        ("fast=perhaps", "The training: fast=perhaps is no bool."),
    ],
)
def test_errors_name_what_was_given_and_what_exists(text: str, message: str) -> None:
    with pytest.raises(Sam2rlError) as caught:
        parse_parameters(Settings, ["steps=1", text], "The training")
    assert str(caught.value) == message


def test_the_defaults_of_an_instance_are_its_values() -> None:
    assert defaults_of(Settings(steps=9), "x") == {"steps": 9, "rate": 1, "fast": False, "name": ""}
    with pytest.raises(Sam2rlError, match="it takes steps=9"):
        parse_parameters(Settings(steps=9), ["typo=1"], "The training")


def test_a_class_without_fields_has_no_parameters() -> None:
    class Plain:
        pass

    assert defaults_of(Plain, "x") == {}
    with pytest.raises(Sam2rlError, match="The rule has no parameter 'x': it takes none"):
        parse_parameters(Plain, ["x=1"], "The rule")


def test_fields_that_cannot_be_parameters() -> None:
    @dataclass
    class Required:
        steps: int

    @dataclass
    class Other:
        steps: int | None = None

    for cls in (Required, Other):
        with pytest.raises(Sam2rlError, match="The rule: 'steps' must be an int, float, bool or str with a default"):
            parse_parameters(cls, [], "The rule")
