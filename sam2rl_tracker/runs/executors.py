"""Where tasks are worked on: here, or in processes of this machine, each on its device.

An `Executor` is told what to do with tasks, and gives each back when it ends, with its result or with what went wrong.
Processes get tasks and give results pickled: functions of modules, dataclasses, arrays, paths. Tasks that may leave
this machine are files instead: see `runs.tasks`.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from sam2rl_tracker.errors import Sam2rlError

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = Callable[[Task], Result]
OnWait = Callable[[Sequence[Task]], None]

_POLL = 1.0  # seconds


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """What came of a task.

    Attributes:
        task: The one that ended.
        result: What the work returned, or what went wrong.
    """

    task: Task
    result: Result | Sam2rlError


def unwatched(running: Sequence[Any]) -> None:
    """What `on_wait` is where nobody wants to know."""


class Executor(ABC):
    """Works on tasks."""

    @abstractmethod
    def run(
        self, work: Work[Task, Result], tasks: Iterable[Task], on_wait: OnWait[Task] = unwatched
    ) -> Generator[Outcome[Task, Result], None, None]:
        """Work on tasks; yields each when it ends.

        A task that fails, or whose process dies, does not stop the others. When the caller stops iterating, by Ctrl-C
        or otherwise, what is under way in processes of this machine ends.

        Args:
            work: A function of a module; `Here` takes any.
            tasks: To work on. They are asked for one by one, as there is room for them.
            on_wait: Is called about once a second with the tasks that are under way; by `Here` never.
        """


class Here(Executor):
    """One task after the other, in this process."""

    def run(
        self, work: Work[Task, Result], tasks: Iterable[Task], on_wait: OnWait[Task] = unwatched
    ) -> Generator[Outcome[Task, Result], None, None]:
        for task in tasks:
            yield Outcome(task, _attempt(work, task))


HERE = Here()


class Processes(Executor):
    """Processes side by side, each of which works on one task after the other.

    One that dies takes no task along but its own, and another takes its place. All end with this process.

    Args:
        jobs: How many there are.
    """

    def __init__(self, jobs: int):
        self._places: list[str | None] = [None] * jobs

    def run(
        self, work: Work[Task, Result], tasks: Iterable[Task], on_wait: OnWait[Task] = unwatched
    ) -> Generator[Outcome[Task, Result], None, None]:
        waiting = iter(tasks)
        busy: dict[Connection, _Worker] = {}
        ended: list[_Worker] = []

        def begin(worker: _Worker, task: Task) -> None:
            busy[worker.connection] = worker
            worker.begin(task)

        try:
            for place, task in zip(self._places, waiting, strict=False):
                begin(_Worker(work, place), task)
            while busy:
                ready = wait(list(busy), timeout=_POLL)
                on_wait([worker.task for worker in busy.values()])
                for worker in [worker for connection, worker in busy.items() if connection in ready]:
                    del busy[worker.connection]
                    outcome = Outcome(worker.task, worker.receive())
                    for task in waiting:  # at most one; before the caller is at work, so that the worker is too
                        begin(worker if worker.is_alive else _Worker(work, worker.device), task)
                        break
                    else:
                        ended.append(worker)
                        worker.dismiss()
                    yield outcome
        finally:
            for worker in busy.values():
                worker.terminate()
            for worker in [*busy.values(), *ended]:
                worker.join()


class Devices(Processes):
    """Processes side by side, each on one of several devices: see `Processes`.

    Args:
        devices: Such as "cuda:0". Tasks are put on them by their method `on(device)`.
        per_device: Processes on each.
    """

    def __init__(self, devices: Sequence[str], per_device: int = 1):
        super().__init__(len(devices) * per_device)
        self._places = [*devices] * per_device  # few tasks are spread over all devices


class _Worker:
    """A process that works on one task after the other.

    Attributes:
        connection: To it. It is ready to be read when a task has ended, or the process.
        device: Where its tasks are put.
        task: The one that it was last given.
    """

    def __init__(self, work: Work[Any, Any], device: str | None):
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.device = device
        self.task: Any = None
        # Daemons end with their parent.
        self._process = context.Process(target=_serve, args=(work, device, theirs, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process ends the connection
        self.is_alive = True

    def begin(self, task: Any) -> None:
        self.task = task
        with suppress(OSError):  # it died meanwhile: `receive` tells
            self.connection.send(task)

    def receive(self) -> Any:
        """The result of its task, or what went wrong."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            self.is_alive = False
            status = self._process.exitcode
            return Sam2rlError(f"Its worker died (status {status}): it was killed, or memory is short.")

    def dismiss(self) -> None:
        """There is no task left for it."""
        self.connection.close()

    def terminate(self) -> None:
        self._process.terminate()

    def join(self) -> None:
        self._process.join()


def _serve(work: Work[Any, Any], device: str | None, connection: Connection, parent: int) -> None:
    """What a worker does, until its parent closes the connection or ends."""
    _end_with(parent)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(_attempt(work, _placed(task, device)))


def _placed(task: Any, device: str | None) -> Any:
    return task if device is None else task.on(device)


def _attempt(work: Work[Task, Result], task: Task) -> Result | Sam2rlError:
    try:
        return work(task)
    except Sam2rlError as error:
        return error


def result_of(outcome: Outcome[Any, Result]) -> Result:
    """What the work returned.

    Raises:
        Sam2rlError: What went wrong.
    """
    if isinstance(outcome.result, Sam2rlError):
        raise outcome.result
    return outcome.result


def run_apart(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function of a module in a process of its own, whose memory holds nothing else.

    Raises:
        Sam2rlError: It failed, or the process died.
    """
    (outcome,) = Processes(1).run(_call, [(function, arguments)])
    result: Result = result_of(outcome)
    return result


def _call(task: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
    function, arguments = task
    return function(*arguments)


def _end_with(parent: int) -> None:
    """Make this process end when its parent, by its id, says so or is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the parent says what is to end

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL)
        os._exit(1)  # the parent was killed

    threading.Thread(target=watch, daemon=True).start()
