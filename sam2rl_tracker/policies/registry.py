"""Names of policies: the built-in ones, those of other packages, and any class by its path."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.policies.base import Policy

ENTRY_POINT_GROUP = "sam2rl.policies"

BUILTIN = {
    "recency": "sam2rl_tracker.policies.recency:Recency",
    "samurai": "sam2rl_tracker.policies.samurai:Samurai",
    "dam4sam": "sam2rl_tracker.policies.dam4sam:Dam4Sam",
}
ALIASES = {"sam2": "recency"}


def policy_names() -> list[str]:
    """Every policy that `--policy` takes by name: built in, alias, or registered by an installed package."""
    return sorted({*BUILTIN, *ALIASES, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def describe_policies() -> list[str]:
    """One line per name: its parameters with their defaults, and what it does."""
    lines = []
    for name in policy_names():
        policy_class = policy_by_name(name)
        parameters = ",".join(f"{key}={value}" for key, value in _parameters(policy_class).items())
        summary = (policy_class.__doc__ or "").strip().splitlines()[0]
        lines.append(f"{name}{':' + parameters if parameters else ''}  {summary}")
    return lines


def make_policy(spec: str) -> Callable[[], Policy]:
    """A factory of fresh policies from `NAME[:key=value,...]` or `module:Class[:key=value,...]`.

    Raises:
        Sam2rlError: unknown name, class or parameter, or a value of the wrong type.
    """
    name, parameters = _split(spec)
    policy_class = policy_by_name(name)
    values = _parse_parameters(policy_class, name, parameters)
    return lambda: policy_class(**values)


def policy_by_name(name: str) -> type[Policy]:
    """The class behind a name or a `module:Class` path."""
    name = ALIASES.get(name, name)
    path = BUILTIN.get(name, name if ":" in name else None)
    if path is not None:
        return _import_class(path)
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        try:
            return _checked(point.load(), name)
        except ImportError as error:
            raise Sam2rlError(f"policy {name!r} of the package {point.value!r} cannot be imported: {error}") from error
    raise Sam2rlError(f"policy {name!r} is unknown: give one of {', '.join(policy_names())}, or module:Class")


def _split(spec: str) -> tuple[str, str]:
    head, _, tail = spec.rpartition(":")
    return (head, tail) if head and "=" in tail else (spec.removesuffix(":"), "")


def _import_class(path: str) -> type[Policy]:
    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise Sam2rlError(f"policy {path!r}: module {module_name!r} cannot be imported ({error})") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise Sam2rlError(f"policy {path!r}: module {module_name!r} has no class {class_name!r}")
    return _checked(found, path)


def _checked(found: Any, name: str) -> type[Policy]:
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise Sam2rlError(f"policy {name!r} is not a subclass of sam2rl_tracker.policies.Policy")
    return found


def _parameters(policy_class: type[Policy]) -> dict[str, Any]:
    """A policy's parameters and their defaults."""
    if not dataclasses.is_dataclass(policy_class):
        return {}
    return {field.name: field.default for field in dataclasses.fields(policy_class) if field.init}


def _parse_parameters(policy_class: type[Policy], name: str, text: str) -> dict[str, Any]:
    fields = _parameters(policy_class)
    values: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if not separator or key not in fields:
            known = ", ".join(f"{k}={v}" for k, v in fields.items()) or "none"
            raise Sam2rlError(f"policy {name!r} has no parameter {key!r}: it takes {known}")
        values[key] = _convert(name, key, value, type(fields[key]))
    return values


def _convert(name: str, key: str, value: str, kind: type) -> Any:
    if kind is bool:
        if value.lower() in ("true", "1", "yes"):
            return True
        if value.lower() in ("false", "0", "no"):
            return False
    else:
        try:
            return kind(value)
        except ValueError:
            pass
    raise Sam2rlError(f"policy {name!r}: {key}={value} is no {kind.__name__}")
