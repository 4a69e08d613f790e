"""Programs of others that this process starts, and that must not outlive it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_with_us(process: int) -> Iterator[None]:
    """Have another process terminated when this one ends before it leaves the block, even if it is killed.

    Args:
        process: Its id.
    """
    # The shell waits for the end of a pipe that this process alone holds open. In a session of its own, no Ctrl-C ends
    # it before that.
    with subprocess.Popen(
        ["sh", "-c", 'read _; kill "$0"', str(process)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as guard:
        try:
            yield
        finally:
            guard.kill()
