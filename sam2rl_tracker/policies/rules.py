"""Every rule as data: what `sam2rl policies` and the table of the documents say is read from the rules themselves."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict, dataclass
from typing import Any

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.parameters import Value, defaults_of
from sam2rl_tracker.policies.about import About
from sam2rl_tracker.policies.base import Policy
from sam2rl_tracker.policies.registry import ALIASES, policy_by_name, policy_names, split_spec, summary_of


@dataclass(frozen=True)
class Parameter:
    """A parameter of a rule.

    Attributes:
        name: As in `--policy NAME:key=value`.
        default: Its value where none is given.
        meaning: From the class's docstring; "" where that does not say.
    """

    name: str
    default: Value
    meaning: str


@dataclass(frozen=True)
class Rule:
    """A memory rule.

    Attributes:
        name: As `--policy` takes it.
        aliases: Its other names.
        summary: What it does, in a line.
        source: Paper, section and code; "" where the class's docstring has no paragraph "Source: ...".
        about: Its answers; None where it gives none.
        parameters: In the order of the class.
    """

    name: str
    aliases: tuple[str, ...]
    summary: str
    source: str
    about: About | None
    parameters: tuple[Parameter, ...]

    @property
    def exactness(self) -> str:
        """How exact it is, in a line."""
        return self.about.exactness if self.about else "not said"

    def as_json(self) -> dict[str, Any]:
        answers = {**asdict(self.about), "basis": self.about.basis.value} if self.about else None
        return {**asdict(self), "about": answers, "exactness": self.exactness}


def find_rules() -> dict[str, Rule | Sam2rlError]:
    """{name: rule} of all but aliases. A package that cannot be imported hides no other: its error is in its place."""
    found: dict[str, Rule | Sam2rlError] = {}
    for name in policy_names():
        if name not in ALIASES:
            try:
                found[name] = find_rule(name)
            except Sam2rlError as error:
                found[name] = error
    return found


def find_rule(name: str) -> Rule:
    """A rule by its name, an alias, or `module:Class`; parameters behind it, as `--policy` takes them, are ignored.

    Raises:
        Sam2rlError: There is none, or a field of its class is no parameter.
    """
    name, _ = split_spec(name)
    policy_class = policy_by_name(name)
    meanings = _meanings(policy_class)
    defaults = defaults_of(policy_class, f"Policy {name!r}")
    about = vars(policy_class).get("about")  # not a parent's: a subclass is another rule
    return Rule(
        name=ALIASES.get(name, name),
        aliases=tuple(alias for alias, own in ALIASES.items() if own == ALIASES.get(name, name)),
        summary=summary_of(name),
        source=_source(policy_class),
        about=about if isinstance(about, About) else None,
        parameters=tuple(Parameter(key, default, meanings.get(key, "")) for key, default in defaults.items()),
    )


def _source(policy_class: type[Policy]) -> str:
    """The docstring's paragraph "Source: ..." without that word."""
    paragraphs = _doc(policy_class).split("\n\n")
    found = (text.removeprefix("Source: ") for text in paragraphs if text.startswith("Source: "))
    return " ".join(next(found, "").split())


def _meanings(policy_class: type[Policy]) -> dict[str, str]:
    """{parameter: meaning} from the "Attributes:" of the docstrings of a class and its parents."""
    meanings = {}
    for one in reversed(policy_class.__mro__):
        _, _, section = _doc(one).partition("\nAttributes:\n")
        # An entry begins one step in; the lines that go on with it stand two steps in.
        for entry in re.finditer(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
            meanings[entry[1]] = " ".join(entry[2].split())
    return meanings


def _doc(one: type) -> str:
    return inspect.cleandoc(one.__doc__ or "")
