"""Lines of a Markdown table, and how numbers are written in its cells and in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tables.files import read

SEES_TRUTH = " (trained on the ground truth it is scored on)"
ABSENT = "Absent frames without a mask"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table."""
    heads = list(heads)
    return [f"| {' | '.join(heads)} |", "|--" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def plain(name: str, **heads: str) -> list[str]:
    """A measurement whose rows hold what is shown: {field: its head}."""
    return table(heads.values(), ([str(row[field]) for field in heads] for row in read(name)["rows"]))


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; what rounds to nothing has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def fraction(value: float) -> str:
    """A fraction without the zero before its point: .551."""
    return f"{value:.3f}".removeprefix("0")


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def span(low: float, high: float) -> str:
    """An interval of fractions, in points."""
    return f"{signed(100 * low)} to {signed(100 * high)}"


def between(low: float | None, high: float | None = None) -> str:
    """Two numbers with two digits, one or none; a plain 1 for what is 1 by definition."""
    values = dict.fromkeys("1" if value == 1 else f"{value:.2f}" for value in (low, high) if value is not None)
    return " to ".join(values)


def mean_and_span(values: Sequence[float | None]) -> str:
    """A mean with its interval, if there were enough videos for one."""
    mean, low, high = values
    assert mean is not None
    if low is None or high is None:
        return f"{signed(100 * mean)} points"
    return f"{signed(100 * mean)} points ({span(low, high)})"
