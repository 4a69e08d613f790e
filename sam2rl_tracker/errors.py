"""The error that a user can cause, and the house's one way to say so."""


class Sam2rlError(Exception):
    """Bad input or a broken environment: one sentence that names the thing, what was found and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class NothingFound(Sam2rlError):
    """SAM 2 saw no object where one was shown to it."""


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
