"""Reading ahead and writing behind: a thread each, so that files and codecs work while the network does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

_Item = TypeVar("_Item")

DEPTH = 2
"""Items that wait between two threads at most. More take memory and save no time: the slower thread sets the pace."""

_END = object()


@contextmanager
def read_ahead(items: Iterable[_Item], depth: int = DEPTH) -> Iterator[Iterator[_Item]]:
    """Take items in a thread while the block works on those before; they come in their order.

    What `items` raises is raised where items are taken, after those before. When the block ends, `items` is closed, if
    it is a generator, and the thread is gone.

    Args:
        items: Nobody else may take any meanwhile.
        depth: How many may wait.
    """
    iterator = iter(items)

    def take() -> Iterator[_Item]:
        waiting = deque(pool.submit(next, iterator, _END) for _ in range(depth))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(next, iterator, _END))
            yield item  # type: ignore[misc]  # all but _END are items

    pool = ThreadPoolExecutor(1, "sam2rl reader")
    try:
        yield take()
    finally:
        pool.shutdown(cancel_futures=True)
        close = getattr(iterator, "close", None)
        if close:
            close()


class WriteBehind:
    """Makes calls in a thread, in their order, while whoever asks for them goes on; a context manager.

    What a call raises is raised at one of the next `submit`, `flush` or at the end of the block, if that ends well.
    Calls behind one that failed are not made, until its error was raised.

    Args:
        depth: How many calls may wait before `submit` does.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._pool = ThreadPoolExecutor(1, "sam2rl writer")
        self._waiting: deque[Future[None]] = deque()
        self._has_failed = False

    def __enter__(self) -> WriteBehind:
        return self

    def submit(self, call: Callable[[], None]) -> None:
        """Have a call made after those before."""
        while len(self._waiting) >= self._depth:
            self._take()
        self._waiting.append(self._pool.submit(self._make, call))

    def flush(self) -> None:
        """Wait for all calls."""
        while self._waiting:
            self._take()

    def wait(self) -> None:
        """Wait for all calls and raise nothing yet."""
        for future in self._waiting:
            future.exception()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._pool.shutdown()

    def _make(self, call: Callable[[], None]) -> None:
        if self._has_failed:
            return
        try:
            call()
        except BaseException:
            self._has_failed = True
            raise

    def _take(self) -> None:
        """Wait for the first call, and raise its error."""
        if self._waiting[0].exception():
            self.wait()  # for those behind, which are not made
            failed, self._has_failed = self._waiting[0], False
            self._waiting.clear()
            failed.result()
        self._waiting.popleft()
