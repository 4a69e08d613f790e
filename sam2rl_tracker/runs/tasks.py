"""Tasks that need nothing but files, and leave one file each: their result.

Such a task is a frozen dataclass of paths, names, numbers and settings. It can be written as JSON and worked on by any
machine that sees the same files. A result that is there is the task done: it is not worked on again. Where two machines
work on the same task, the result that was there first stands, and both go on with it. No file is locked for that.

A result file is JSON: what the kind of task gives, the digest of the task (`task`), and who made it (`made_by`).
Nothing here imports PyTorch: a task's kind is imported when it is needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.files import machine_name, write_once
from sam2rl_tracker.runs.executors import Executor, Outcome, unwatched
from sam2rl_tracker.version import __version__

if TYPE_CHECKING:
    from typing_extensions import Self

_KINDS = {
    "train": "sam2rl_tracker.training.trainer:TRAIN",
    "evaluate": "sam2rl_tracker.vot.shares:EVALUATE",
    "search": "sam2rl_tracker.training.search_object:SEARCH",
    "score": "sam2rl_tracker.experiments.score:SCORE",
    "part": "sam2rl_tracker.experiments.benchmark.parts:PART",
}
"""{kind of task: the module of its `Kind`, and its name there}. Files name kinds, and so no other code."""

_NOT_WHAT = frozenset({"workspace", "folder", "device", "rows", "store_mb"})
"""Fields that say where a task is worked on and how fast. Its result is the same."""

_BEFORE = (("arithmetic", {"dtype": "float32", "compile": False}), ("dtype", "float32"), ("compile", False))
"""Fields that came later, with what tasks before had for them, whose results still count."""


class FileTask(Protocol):
    """A task: a frozen dataclass of paths, texts, numbers, tuples of these, and such dataclasses."""

    kind: ClassVar[str]
    """Its entry in the table of kinds."""

    @property
    def result(self) -> Path:
        """The file that it leaves."""
        ...

    def on(self, device: str) -> Self:
        """The same task, on a device."""
        ...


class AsJson(Protocol):
    """A result."""

    def as_json(self) -> dict[str, Any]:
        """As its file holds it."""
        ...


T = TypeVar("T", bound=FileTask)
R = TypeVar("R", bound=AsJson)


@dataclass(frozen=True)
class Kind(Generic[T, R]):
    """What is done with tasks of one kind.

    Attributes:
        task: Their class.
        work: Gives the result. It may be ended at any moment, and called again.
        read: (task, what the result's `as_json` gave) -> the result; None where something that belongs to it is gone.
        by_name: Whether any file of the result's name is the task's: its folder is of one plan alone.
    """

    task: type[T]
    work: Callable[..., R]
    read: Callable[[T, Mapping[str, Any]], R | None]
    by_name: bool = False


@dataclass(frozen=True)
class TaskFile:
    """A task as JSON tells it, of which nothing need be imported until it is worked on.

    Attributes:
        kind: Its entry in the table of kinds.
        fields: JSON.
        result: The file that it leaves.
        digest: See `digest_of`.
    """

    kind: str
    fields: str
    result: Path
    digest: str

    def load(self) -> Any:
        """The task itself.

        Raises:
            Sam2rlError: The kind is unknown, or the fields are not its own.
        """
        kind = find_kind(self.kind)
        try:
            return _restore(kind.task, json.loads(self.fields))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Sam2rlError(
                f"A task of kind {self.kind} cannot be read by sam2rl_tracker {__version__} ({error}): install "
                "the version that wrote it."
            ) from error

    def on(self, device: str) -> TaskFile:
        """The same task, on a device."""
        return task_file(self.load().on(device))

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "result": str(self.result), "digest": self.digest, "fields": json.loads(self.fields)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TaskFile:
        """That which `as_json` gave.

        Raises:
            KeyError: An entry is missing.
        """
        text = json.dumps(content["fields"], sort_keys=True)
        return cls(content["kind"], text, Path(content["result"]), content["digest"])


def task_file(task: FileTask | TaskFile) -> TaskFile:
    """A task as it can be written, with absolute paths."""
    if isinstance(task, TaskFile):
        return task
    text = json.dumps(_fields(task), default=_absolute, sort_keys=True)
    return TaskFile(task.kind, text, task.result.absolute(), digest_of(task))


def _fields(task: Any) -> dict[str, Any]:
    return asdict(task)


def _absolute(path: Path) -> str:
    return str(path.absolute())


def find_kind(name: str) -> Kind[Any, Any]:
    """A kind of task; its module is imported.

    Raises:
        Sam2rlError: There is none of the name.
    """
    if name not in _KINDS:
        raise Sam2rlError(
            f"Tasks of kind {name!r} are unknown to sam2rl_tracker {__version__}, it knows {', '.join(_KINDS)}: "
            "install the version that wrote them."
        )
    module, _, attribute = _KINDS[name].partition(":")
    kind: Kind[Any, Any] = getattr(import_module(module), attribute)
    return kind


def digest_of(task: FileTask | TaskFile) -> str:
    """16 hex digits of all that a task's result follows from, so far as the task says it."""
    if isinstance(task, TaskFile):
        return task.digest
    text = json.dumps([task.kind, _what(_fields(task))], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _what(value: Any) -> Any:
    if isinstance(value, dict):
        counts = (item for item in value.items() if item[0] not in _NOT_WHAT and item not in _BEFORE)
        return {name: _what(one) for name, one in counts}
    return value


def state_of(*folders: Path) -> str:
    """What files folders hold, and those in their folders: names, sizes and times, as 16 hex digits.

    A task that holds it is another one when its files are others. Hidden files do not count, and no content is read.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for pattern in ("*", "*/*") for path in folder.glob(pattern)):
            name = path.relative_to(folder)
            with suppress(OSError):
                if not any(part.startswith(".") for part in name.parts) and path.is_file():
                    about = path.stat()
                    digest.update(f"{name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _restore(kind: Any, value: Any) -> Any:
    """A field's value, by its type, from JSON."""
    if get_origin(kind) in (Union, UnionType):
        return None if value is None else _restore(next(one for one in get_args(kind) if one is not NoneType), value)
    if is_dataclass(kind) and isinstance(kind, type):
        types = get_type_hints(kind)
        strange = value.keys() - {one.name for one in fields(kind)}
        if strange:
            raise ValueError(f"{', '.join(sorted(strange))} is not known")
        return kind(**{name: _restore(types[name], one) for name, one in value.items()})
    if kind is Path:
        return Path(value)
    return tuple(value) if get_origin(kind) is tuple else value


# -------------------------------------------------------------------------------------------------------------- results


def read_result(task: FileTask | TaskFile) -> Any | None:
    """A task's result from its file; None where there is none, or one of another task."""
    try:
        content = json.loads(task.result.read_text())
        kind = find_kind(task.kind)
        if not kind.by_name and content["task"] != digest_of(task):
            return None
        return kind.read(task.load() if isinstance(task, TaskFile) else task, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def work(task: FileTask | TaskFile, *more: Any) -> Any:
    """Work on a task, unless its result is there; the result, as its file has it.

    Args:
        more: Arguments of the kind's `work`, beside the task.

    Raises:
        Sam2rlError: The work failed, or the result cannot be written.
    """
    there = read_result(task)
    if there is not None:
        return there
    loaded = task.load() if isinstance(task, TaskFile) else task
    result = find_kind(task.kind).work(loaded, *more)
    content = {**result.as_json(), "task": digest_of(task), "made_by": made_by()}
    write_once(task.result, json.dumps(content), lambda: read_result(task) is not None)
    there = read_result(task)
    if there is None:
        raise Sam2rlError(f"{task.result} was taken away while its task was worked on: repeat the command.")
    return there


def made_by() -> dict[str, str]:
    """This machine, and the version of the code that runs here, for the record."""
    return {"machine": machine_name(), "version": __version__}


def run_tasks(
    executor: Executor,
    tasks: Sequence[T],
    on_wait: Callable[[Sequence[T]], None] = unwatched,
    do: Callable[[T], Any] = work,
) -> Iterator[Outcome[T, Any]]:
    """Work on tasks; yields each when it ends, first those whose results are there.

    Args:
        on_wait: See `Executor.run`.
        do: `work`, or that with more arguments.
    """
    missing = []
    for task in tasks:
        there = read_result(task)
        if there is None:
            missing.append(task)
        else:
            yield Outcome(task, there)
    if missing:
        yield from executor.run(do, missing, on_wait)
