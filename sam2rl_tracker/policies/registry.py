"""Names of policies: the built-in ones, those of other packages, and any class by its path."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import math
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
    "sam2long": "sam2rl_tracker.policies.sam2long:Sam2Long",
    "mosam": "sam2rl_tracker.policies.mosam:MoSam",
    "sam2rl": "sam2rl_tracker.policies.sam2rl:Sam2Rl",
    "never": "sam2rl_tracker.policies.baselines:Never",
    "stride": "sam2rl_tracker.policies.baselines:Stride",
    "random": "sam2rl_tracker.policies.baselines:Random",
}
ALIASES = {"sam2": "recency"}


def policy_names() -> list[str]:
    """Every policy that `--policy` takes by name: built in, alias, or registered by an installed package."""
    return sorted({*BUILTIN, *ALIASES, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def describe_policies() -> list[str]:
    """One line per name: its parameters with their defaults, and what it does."""
    return [_describe(name) for name in policy_names()]


def _describe(name: str) -> str:
    try:
        policy_class = policy_by_name(name)
        parameters = ",".join(f"{key}={field.default}" for key, field in _parameters(policy_class).items())
    except Sam2rlError as error:  # somebody's broken package must not hide the others
        return f"{name}  ({error})"
    return f"{name}{':' + parameters if parameters else ''}  {summary_of(name)}"


def summary_of(name: str) -> str:
    """What a policy does, in a line.

    Raises:
        Sam2rlError: unknown name.
    """
    return (policy_by_name(name).__doc__ or "").strip().partition("\n")[0]


def make_policy(spec: str) -> Callable[[], Policy]:
    """A factory of fresh policies from `NAME[:key=value,...]` or `module:Class[:key=value,...]`.

    Raises:
        Sam2rlError: unknown name, class or parameter, or a value of the wrong type.
    """
    name, parameters = _split(spec)
    policy_class = policy_by_name(name)
    values = _parse_parameters(policy_class, name, parameters)
    try:
        policy_class(**values)  # a rule may check its values
    except ValueError as error:
        raise Sam2rlError(f"policy {name!r}: {error}") from error
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
        except Sam2rlError:
            raise
        except Exception as error:  # whatever somebody's module raises while it is imported
            raise Sam2rlError(f"policy {name!r} of the package {point.value!r} cannot be imported: {error}") from error
    raise Sam2rlError(f"policy {name!r} is unknown: give one of {', '.join(policy_names())}, or module:Class")


def _split(spec: str) -> tuple[str, str]:
    head, _, tail = spec.rpartition(":")
    return (head, tail) if head and "=" in tail else (spec.removesuffix(":"), "")


def _import_class(path: str) -> type[Policy]:
    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever somebody's module raises while it is imported
        raise Sam2rlError(f"policy {path!r}: module {module_name!r} cannot be imported ({error})") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise Sam2rlError(f"policy {path!r}: module {module_name!r} has no class {class_name!r}")
    return _checked(found, path)


def _checked(found: Any, name: str) -> type[Policy]:
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise Sam2rlError(f"policy {name!r} is not a subclass of sam2rl_tracker.policies.Policy")
    return found


_KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


def _parameters(policy_class: type[Policy]) -> dict[str, dataclasses.Field[Any]]:
    """A policy's parameters: its dataclass fields.

    Raises:
        Sam2rlError: a field of another type than int, float, bool or str, or without a default.
    """
    if not dataclasses.is_dataclass(policy_class):
        return {}
    parameters = {field.name: field for field in dataclasses.fields(policy_class) if field.init}
    for name, field in parameters.items():
        if _kind(field) is None or field.default is dataclasses.MISSING:
            raise Sam2rlError(
                f"policy {policy_class.__name__}: {name!r} must be an int, float, bool or str with a default"
            )
    return parameters


def _kind(field: dataclasses.Field[Any]) -> type | None:
    """A field's type, which is a string under `from __future__ import annotations`."""
    name = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
    return _KINDS.get(name)


def _parse_parameters(policy_class: type[Policy], name: str, text: str) -> dict[str, Any]:
    fields = _parameters(policy_class)
    values: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if not separator or key not in fields:
            known = ", ".join(f"{k}={field.default}" for k, field in fields.items()) or "none"
            raise Sam2rlError(f"policy {name!r} has no parameter {key!r}: it takes {known}")
        values[key] = _convert(name, key, value, _kind(fields[key]) or str)
    return values


def _convert(name: str, key: str, value: str, kind: type) -> Any:
    if kind is bool:
        if value.lower() in ("true", "1", "yes"):
            return True
        if value.lower() in ("false", "0", "no"):
            return False
    else:
        with contextlib.suppress(ValueError):
            converted = kind(value)
            if kind is str or math.isfinite(converted):
                return converted
    raise Sam2rlError(f"policy {name!r}: {key}={value} is no {'finite ' * (kind is float)}{kind.__name__}")
