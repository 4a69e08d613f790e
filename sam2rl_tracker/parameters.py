"""Parameters as a user types them: `KEY=VALUE` onto the fields of a dataclass.

A parameter is a field of type int, float, bool or str with a default. `field(default=..., metadata=INTERNAL)` makes a
field that code may set and a user may not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields, is_dataclass, make_dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sam2rl_tracker.errors import Sam2rlError

Value = bool | int | float | str

INTERNAL = {"internal": True}
"""Metadata of a dataclass field that is no parameter."""

_KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


def defaults_of(source: Any, what: str) -> dict[str, Value]:
    """The parameters of a dataclass, or of an instance of one, with their defaults.

    Args:
        source: Of an instance, its values are the defaults. A class that is no dataclass has no parameters.
        what: Begins the sentence of an error, such as "Policy 'samurai'".

    Raises:
        Sam2rlError: A field that is no parameter: it has another type, or no default.
    """
    defaults: dict[str, Value] = {}
    for name, parameter in _fields(source).items():
        default = parameter.default if isinstance(source, type) else getattr(source, name)
        if _kind(parameter) is None or default is MISSING:
            raise Sam2rlError(f"{what}: {name!r} must be an int, float, bool or str with a default.")
        defaults[name] = default
    return defaults


def parse_parameters(source: Any, texts: Iterable[str], what: str) -> dict[str, Any]:
    """Read `KEY=VALUE` texts as the parameters of a dataclass, or of an instance of one; the values that are given.

    Numbers are read as Python reads them. A bool is true, yes, on or 1, or false, no, off or 0.

    Args:
        source, what: As in `defaults_of`.

    Raises:
        Sam2rlError: An unknown key, a value of another type, or a number that is not finite.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Settings:
        ...     seed: int = 0
        ...     rate: float = 0.1
        >>> parse_parameters(Settings, ["rate=1e-3"], "The training")
        {'rate': 0.001}
    """
    defaults = defaults_of(source, what)
    kinds = {name: _kind(parameter) or str for name, parameter in _fields(source).items()}
    values: dict[str, Any] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or key not in defaults:
            known = ", ".join(f"{name}={default}" for name, default in defaults.items()) or "none"
            raise Sam2rlError(f"{what} has no parameter {key!r}: it takes {known}.")
        values[key] = _convert(key, value, kinds[key], what)
    return values


def _fields(source: Any) -> dict[str, Field[Any]]:
    if not is_dataclass(source):
        return {}
    return {one.name: one for one in fields(source) if one.init and not one.metadata.get("internal")}


def _kind(parameter: Field[Any]) -> type | None:
    """A field's type, which is a string under `from __future__ import annotations`."""
    name = parameter.type if isinstance(parameter.type, str) else getattr(parameter.type, "__name__", "")
    return _KINDS.get(name)


def _convert(key: str, text: str, kind: type, what: str) -> Value:
    if kind is str:
        return text  # as it is: OmegaConf would read `${...}` and `???`
    config = OmegaConf.structured(make_dataclass("Parameter", [("value", kind)]))
    try:
        config.value = text
        value: Value = config.value
    except OmegaConfBaseException:
        raise Sam2rlError(f"{what}: {key}={text} is no {'finite ' * (kind is float)}{kind.__name__}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise Sam2rlError(f"{what}: {key}={text} is no finite float.")
    return value
