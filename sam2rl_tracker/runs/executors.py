"""Running tasks: here, or in processes that end with this one.

Many short tasks share the workers of a `process_pool`, by `run_in_order` or to submit to. Long ones get a process each
from `run_each`, so that one that dies takes no other along. Tasks and results are pickled: functions of modules,
dataclasses, arrays, paths.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

from sam2rl_tracker.errors import Sam2rlError

Task = TypeVar("Task")
Result = TypeVar("Result")

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


def run_here(work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Outcome[Task, Result]]:
    """Work on tasks one after the other, in this process. A task that fails does not stop the others."""
    for task in tasks:
        yield Outcome(task, _attempt(work, task))


def run_each(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    jobs: int,
    on_wait: Callable[[Sequence[Task]], None] = lambda running: None,
) -> Iterator[Outcome[Task, Result]]:
    """Work on tasks in a process each, `jobs` at a time; yields each when it ends.

    A task that fails, or whose process dies, does not stop the others. When the caller stops iterating, by Ctrl-C or
    otherwise, all processes are terminated.

    Args:
        work: A function of a module.
        on_wait: Is called about once a second, with the tasks that are under way.
    """
    context = get_context("spawn")
    waiting = list(tasks)
    running: dict[Connection, tuple[SpawnProcess, Task]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                # Daemons end with their parent.
                process = context.Process(target=_work, args=(work, task, sender, os.getpid()), daemon=True)
                process.start()
                sender.close()  # so that the end of the process ends the connection
                running[receiver] = process, task
            ready = wait(list(running), timeout=_POLL)
            on_wait([task for _, task in running.values()])
            for receiver in [one for one in running if one in ready]:
                process, task = running.pop(receiver)
                yield Outcome(task, _receive(receiver, process))
    finally:
        for process, _ in running.values():
            process.terminate()


def _work(work: Callable[[Any], Any], task: Any, sender: Connection, parent: int) -> None:
    _end_with(parent)
    sender.send(_attempt(work, task))


def _attempt(work: Callable[[Task], Result], task: Task) -> Result | Sam2rlError:
    try:
        return work(task)
    except Sam2rlError as error:
        return error


def _receive(receiver: Connection, process: SpawnProcess) -> Any:
    with receiver:
        try:
            result = receiver.recv()
        except EOFError:
            process.join()
            return Sam2rlError(f"Its worker died (status {process.exitcode}): it was killed, or memory is short.")
    process.join()
    return result


def run_in_order(work: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    """Results of many short tasks, in their order: here where `jobs` is 1, else by the workers of a `process_pool`.

    Raises:
        Sam2rlError: A task failed, or a worker died.
    """
    if jobs == 1:
        yield from map(work, tasks)
        return
    with process_pool(jobs) as pool:
        for future in [pool.submit(work, task) for task in tasks]:
            yield future.result()


@contextmanager
def process_pool(jobs: int) -> Iterator[Executor]:
    """Workers for many short tasks, to `submit` to. On an error, Ctrl-C included, what is under way is terminated.

    Raises:
        Sam2rlError: A worker died.
    """
    others = set(active_children())
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
    ) as pool:
        try:
            yield pool
        except BaseException as error:
            for process in set(active_children()) - others:
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise Sam2rlError(
                    "A worker died: it was killed, or memory is short. Repeat the command; what was finished is kept."
                ) from error
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_apart(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function in a process of its own, whose memory holds nothing else.

    Raises:
        Sam2rlError: The process died.
    """
    with process_pool(1) as pool:
        return pool.submit(function, *arguments).result()


def _end_with(parent: int) -> None:
    """Make this process end when its parent, by its id, says so or is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the parent says what is to end

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL)
        os._exit(1)  # the parent was killed

    threading.Thread(target=watch, daemon=True).start()
