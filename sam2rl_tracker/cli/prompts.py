"""The prompts of `sam2rl track`: as options, and as a file.

An option's text may end in `@FRAME`, the number of the frame, counted from 0:

    --init MASK.png[@FRAME]
    --box X,Y,W,H[,object=K][@FRAME]
    --point X,Y[,-][,object=K][@FRAME]
    --remove K@FRAME
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.tracking.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Removal

_FIELDS = {"frame", "object", "mask", "box", "points", "remove"}
_TOO_LARGE = 1e300  # a number of JSON may be larger than any float
_SHAPES = "mask, box, points or remove"


def parse_init(text: str) -> MaskPrompt:
    """MASK.png[@FRAME]. What is a file's name as a whole is one: a path may hold an @."""
    path, frame = (text, None) if Path(text).is_file() else _split_frame(text)
    return MaskPrompt(Path(path), frame)


def parse_box(text: str) -> BoxPrompt:
    """X,Y,W,H[,object=K][@FRAME].

    Raises:
        Sam2rlError: It is something else.
    """
    fields, frame = _split_frame(text)
    numbers, *rest = _split_object(fields)
    found = _numbers(numbers.split(","))
    if found is None or len(found) != 4:
        raise Sam2rlError(f"Box {text!r} is not X,Y,W,H[,object=K][@FRAME], with four numbers in pixels.")
    x, y, width, height = found
    return BoxPrompt((x, y, width, height), _object(rest, text), frame)


def parse_point(text: str) -> PointPrompt:
    """X,Y[,-][,object=K][@FRAME].

    Raises:
        Sam2rlError: It is something else.
    """
    fields, frame = _split_frame(text)
    numbers, *rest = _split_object(fields)
    on = not numbers.endswith(",-")
    found = _numbers(numbers.removesuffix(",-").split(","))
    if found is None or len(found) != 2:
        raise Sam2rlError(f"Point {text!r} is not X,Y[,-][,object=K][@FRAME], with two numbers in pixels.")
    return PointPrompt(found[0], found[1], on, _object(rest, text), frame)


def parse_removal(text: str) -> Removal:
    """K@FRAME.

    Raises:
        Sam2rlError: It is something else.
    """
    match = re.fullmatch(r"([0-9]+)@([0-9]+)", text)
    if not match:
        raise Sam2rlError(f"Removal {text!r} is not K@FRAME: the number of an object, and of a frame.")
    return Removal(int(match[1]), int(match[2]))


def parse_options(
    inits: Iterable[str], boxes: Iterable[str], points: Iterable[str], removals: Iterable[str], file: Path | None
) -> list[Prompt]:
    """All prompts of a command line.

    Raises:
        Sam2rlError: One is malformed.
    """
    return [
        *map(parse_init, inits),
        *map(parse_box, boxes),
        *map(parse_point, points),
        *map(parse_removal, removals),
        *(read_prompts(file) if file else ()),
    ]


def _split_frame(text: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(.+)@([0-9]+)", text, re.DOTALL)
    return (match[1], int(match[2])) if match else (text, None)


def _split_object(text: str) -> list[str]:
    """The fields before `,object=`, and what stands behind it."""
    return text.split(",object=", 1)


def _object(rest: list[str], text: str) -> int | None:
    if not rest:
        return None
    if not re.fullmatch(r"[0-9]+", rest[0]):
        raise Sam2rlError(f"{text!r} does not end in object=K or object=K@FRAME, K being the number of an object.")
    return int(rest[0])


def _numbers(parts: list[str]) -> list[float] | None:
    try:
        found = [float(part) for part in parts]
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None


# ---------------------------------------------------------------- a file of prompts


def read_prompts(path: Path) -> list[Prompt]:
    """Read a JSON file: a list of objects with `frame`, `object`, and one of `mask`, `box`, `points`, `remove`.

    `box` and `points` may stand together. A mask's path is relative to the file.

    Raises:
        Sam2rlError: The file cannot be read, or an entry is malformed.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Sam2rlError(f"{path} cannot be read ({error.strerror}): give a JSON file of prompts.") from error
    except (ValueError, RecursionError) as error:
        raise Sam2rlError(f"{path} is no JSON ({error}): give a JSON file of prompts.") from error
    if not isinstance(entries, list):
        raise Sam2rlError(f"{path} holds no list, expected [{{...}}, ...] with an object for each prompt.")
    return [prompt for number, entry in enumerate(entries, 1) for prompt in _read_entry(entry, number, path)]


def _read_entry(entry: Any, number: int, path: Path) -> Iterator[Prompt]:
    place = f"Prompt {number} of {path}"
    if not isinstance(entry, dict):
        raise Sam2rlError(f'{place} is {json.dumps(entry)}, expected an object such as {{"frame": 0, "box": [...]}}.')
    unknown = sorted(entry.keys() - _FIELDS)
    if unknown:
        raise Sam2rlError(f"{place} has a field {unknown[0]!r}: there are {', '.join(sorted(_FIELDS))}.")
    given = sorted(entry.keys() & {"mask", "box", "points", "remove"})
    if not given:
        raise Sam2rlError(f"{place} gives nothing: it needs {_SHAPES}.")
    if len(given) > 1 and given != ["box", "points"]:
        raise Sam2rlError(f"{place} has {' and '.join(given)}: of {_SHAPES} only box and points go together.")
    frame, number_of_object = _whole(entry, "frame", 0, place), _whole(entry, "object", 1, place)
    if "mask" in entry:
        yield MaskPrompt(_mask_path(entry["mask"], path, place), frame, number_of_object)
    if "box" in entry:
        x, y, width, height = _row(entry["box"], (4,), "box", "[x, y, width, height]", place)
        yield BoxPrompt((x, y, width, height), number_of_object, frame)
    if "points" in entry:
        for x, y, on in _points(entry["points"], place):
            yield PointPrompt(x, y, on, number_of_object, frame)
    if "remove" in entry:
        if entry["remove"] is not True or frame is None or number_of_object is None:
            raise Sam2rlError(f'{place} is no removal, expected {{"remove": true, "object": K, "frame": N}}.')
        yield Removal(number_of_object, frame)


def _whole(entry: dict[str, Any], name: str, least: int, place: str) -> int | None:
    value = entry.get(name)
    if name in entry and (type(value) is not int or value < least):  # True is an int, too
        raise Sam2rlError(f"{place} has {name} {json.dumps(value)}, expected a whole number of {least} or more.")
    return value


def _mask_path(value: Any, path: Path, place: str) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise Sam2rlError(f"{place} has mask {json.dumps(value)}, expected the path of an image file.")
    return path.parent / value


def _points(value: Any, place: str) -> Iterator[tuple[float, float, bool]]:
    expected = "[x, y] or [x, y, 1], or [x, y, 0] for what does not belong to the object"
    if not isinstance(value, list) or not value:
        raise Sam2rlError(f"{place} has points {json.dumps(value)}, expected a list of {expected}.")
    for point in value:
        x, y, *label = _row(point, (2, 3), "a point", expected, place)
        if label not in ([], [0], [1]):
            raise Sam2rlError(f"{place} has a point {json.dumps(point)}, expected {expected}.")
        yield x, y, label != [0]


def _row(value: Any, lengths: tuple[int, ...], name: str, expected: str, place: str) -> list[float]:
    is_row = isinstance(value, list) and len(value) in lengths
    if not is_row or not all(type(number) in (int, float) and abs(number) < _TOO_LARGE for number in value):
        raise Sam2rlError(f"{place} has {name} {json.dumps(value)}, expected {expected}.")
    return [float(number) for number in value]
