"""Reading ahead and writing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from sam2rl_tracker.media.overlap import WriteBehind, read_ahead


class Source:
    """Numbers from 0, which tell how many were read, in which thread, and whether anything is left behind."""

    def __init__(self, count: int, fails_at: int = -1) -> None:
        self.count, self.fails_at = count, fails_at
        self.read = 0
        self.is_closed = False
        self.threads: set[str] = set()

    def __iter__(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.threads.add(threading.current_thread().name)
                if number == self.fails_at:
                    raise OSError(f"no {number}")
                self.read += 1
                yield number
        finally:
            self.is_closed = True


def test_items_come_in_order_from_another_thread() -> None:
    source = Source(50)
    with read_ahead(source) as items:
        assert list(items) == list(range(50))
    assert source.is_closed
    assert threading.current_thread().name not in source.threads


def test_reading_is_ahead_and_no_further_than_allowed() -> None:
    source = Source(50)
    with read_ahead(source, depth=2) as items:
        next(items)
        _until(lambda: source.read == 3)
        time.sleep(0.02)
        assert source.read == 3
    assert source.is_closed
    assert not [thread for thread in threading.enumerate() if "reader" in thread.name]


def test_an_error_of_reading_comes_after_the_items_before_it() -> None:
    taken: list[int] = []
    with read_ahead(Source(50, fails_at=3)) as items, pytest.raises(OSError, match="no 3"):
        taken.extend(items)
    assert taken == [0, 1, 2]


def test_a_block_that_breaks_off_closes_the_source() -> None:
    source = Source(50)

    def interrupted() -> None:
        with read_ahead(source) as items:
            next(items)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert source.is_closed


def test_calls_are_made_in_order_and_all_of_them() -> None:
    made: list[int] = []
    with WriteBehind() as behind:
        for number in range(50):
            behind.submit(partial(made.append, number))
    assert made == list(range(50))


def test_no_more_calls_wait_than_allowed() -> None:
    hold, made = threading.Semaphore(0), 0

    def call() -> None:
        nonlocal made
        hold.acquire()
        made += 1

    with WriteBehind(depth=2) as behind:
        behind.submit(call)
        behind.submit(call)
        threading.Timer(0.05, hold.release).start()
        behind.submit(call)  # waits for the first
        assert made == 1
        hold.release(2)
        behind.flush()
        assert made == 3


def fail() -> None:
    raise OSError("disk full")


def test_an_error_of_a_call_is_raised_once_and_no_call_behind_it_is_made() -> None:
    made: list[int] = []
    with WriteBehind(depth=3) as behind:
        behind.submit(partial(made.append, 1))
        behind.submit(fail)
        behind.submit(partial(made.append, 2))
        with pytest.raises(OSError, match="disk full"):
            behind.flush()
        behind.submit(partial(made.append, 3))
    assert made == [1, 3]


def test_a_full_queue_tells_of_an_error_when_a_call_is_submitted() -> None:
    with WriteBehind(depth=1) as behind:
        behind.submit(fail)
        with pytest.raises(OSError, match="disk full"):
            behind.submit(fail)


def test_the_end_of_the_block_raises_what_nobody_was_told() -> None:
    def wrong() -> None:
        with WriteBehind() as behind:
            behind.submit(fail)
            behind.wait()  # which raises nothing

    with pytest.raises(OSError, match="disk full"):
        wrong()


def test_a_block_that_fails_says_why_and_not_what_failed_behind_it() -> None:
    made: list[int] = []

    def interrupted() -> None:
        with WriteBehind() as behind:
            behind.submit(partial(made.append, 1))
            behind.submit(fail)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert made == [1]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert condition()
