"""Names of policies: the built-in ones, those of other packages, and any class by its path."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.parameters import defaults_of, parse_parameters
from sam2rl_tracker.policies.base import Policy

ENTRY_POINT_GROUP = "sam2rl.policies"

BUILTIN = {
    "recency": "sam2rl_tracker.policies.recency:Recency",
    "samurai": "sam2rl_tracker.policies.samurai:Samurai",
    "dam4sam": "sam2rl_tracker.policies.dam4sam:Dam4Sam",
    "sam2long": "sam2rl_tracker.policies.sam2long:Sam2Long",
    "sam3": "sam2rl_tracker.policies.sam3:Sam3",
    "d4sm": "sam2rl_tracker.policies.d4sm:D4Sm",
    "him2sam": "sam2rl_tracker.policies.him2sam:HiM2Sam",
    "samite": "sam2rl_tracker.policies.samite:Samite",
    "mosam": "sam2rl_tracker.policies.mosam:MoSam",
    "sam2rl": "sam2rl_tracker.policies.sam2rl:Sam2Rl",
    "learned": "sam2rl_tracker.policies.learned:Learned",
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
        defaults = defaults_of(policy_class, f"Policy {name!r}")
        parameters = ",".join(f"{key}={default}" for key, default in defaults.items())
    except Sam2rlError as error:  # somebody's broken package must not hide the others
        return f"{name}  ({error})"
    return f"{name}{':' + parameters if parameters else ''}  {summary_of(name)}"


def summary_of(name: str) -> str:
    """What a policy does, in a line.

    Raises:
        Sam2rlError: Unknown name.
    """
    return (policy_by_name(name).__doc__ or "").strip().partition("\n")[0]


def make_policy(spec: str) -> Callable[[], Policy]:
    """A factory of fresh policies from `NAME[:key=value,...]` or `module:Class[:key=value,...]`.

    Raises:
        Sam2rlError: Unknown name, class or parameter, or a value of the wrong type.
    """
    name, parameters = split_spec(spec)
    policy_class = policy_by_name(name)
    values = parse_parameters(policy_class, filter(None, parameters.split(",")), f"Policy {name!r}")
    try:
        policy_class(**values)  # a rule may check its values
    except ValueError as error:
        raise Sam2rlError(f"Policy {name!r}: {str(error).rstrip('.')}.") from error
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
            raise Sam2rlError(f"Policy {name!r} of the package {point.value!r} cannot be imported: {error}.") from error
    raise Sam2rlError(f"Policy {name!r} is unknown: give one of {', '.join(policy_names())}, or module:Class.")


def split_spec(spec: str) -> tuple[str, str]:
    """The name or path, and what follows it: key=value,...; "" for nothing."""
    head, _, tail = spec.rpartition(":")
    return (head, tail) if head and "=" in tail else (spec.removesuffix(":"), "")


def _import_class(path: str) -> type[Policy]:
    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever somebody's module raises while it is imported
        raise Sam2rlError(f"Policy {path!r}: module {module_name!r} cannot be imported ({error}).") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise Sam2rlError(f"Policy {path!r}: module {module_name!r} has no class {class_name!r}.")
    return _checked(found, path)


def _checked(found: Any, name: str) -> type[Policy]:
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise Sam2rlError(f"Policy {name!r} is not a subclass of sam2rl_tracker.policies.Policy.")
    return found
