"""The one kind of error that a user can cause, and how it is worded."""

from __future__ import annotations

from collections.abc import Iterable


class Sam2rlError(Exception):
    """Bad input or a broken environment: one sentence that names the thing, what was found and what to do.

    The command line prints it without a traceback and exits with `status`.
    """

    status = 2


class StreamError(Sam2rlError):
    """Live video that could not be had, or broke off: nothing was wrong with the command."""

    status = 1


class NothingFound(Sam2rlError):
    """SAM 2 saw no object where one was shown to it."""


class NoAgent(Sam2rlError):
    """The agents that were given do not serve an object: none was trained on it."""


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def join_sentences(texts: Iterable[object]) -> str:
    """Texts one after the other, each ended by a full stop if it has none: what a tracker said last may have one."""
    return " ".join(f"{str(text).rstrip('.')}." for text in texts)
