"""There is one form of error sentence: every text that `Sam2rlError` is given ends with a full stop."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sam2rl_tracker

PACKAGE = Path(sam2rl_tracker.__file__).parent


PASSED_ON = ("error", "result")
"""Values that are an error's sentence already: what stands before says whose it is."""


def endings(text: ast.expr) -> Iterator[str | None]:
    """The constant parts with which a text may end; None where it ends with a value.

    The text is a literal, an f-string, a sum of these, or a choice between two of them.
    """
    if isinstance(text, ast.Constant):
        yield str(text.value)
    elif isinstance(text, ast.JoinedStr):
        yield from endings(text.values[-1])
    elif isinstance(text, ast.FormattedValue) and ast.unparse(text.value) in PASSED_ON:
        yield "."
    elif isinstance(text, ast.BinOp):
        yield from endings(text.right)
    elif isinstance(text, ast.IfExp):
        yield from endings(text.body)
        yield from endings(text.orelse)
    else:
        yield None


def passed_on(text: ast.expr) -> bool:
    """Whether another error's sentence, or one made elsewhere, is given as it is: `str(error)`, `message`, `f(x)`."""
    return isinstance(text, ast.Name | ast.Call | ast.Subscript | ast.Attribute)


def unfinished(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every error in a module that does not end with a full stop."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Sam2rlError":
            (text,) = node.args
            if not passed_on(text) and not all(ending and ending.endswith(".") for ending in endings(text)):
                yield node.lineno, ast.unparse(text)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_errors_end_with_a_full_stop(path: Path) -> None:
    found = [f"{path}:{line}: {text}" for line, text in unfinished(path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("call", "finished"),
    [
        ("Sam2rlError('x is empty.')", True),
        ("Sam2rlError('x is empty')", False),
        ("Sam2rlError(f'{x} is empty: fill it.')", True),
        ("Sam2rlError(f'it is empty: fill {x}')", False),
        ("Sam2rlError('it is ' + 'empty.')", True),
        ("Sam2rlError('it is full.' if x else 'it is empty')", False),
        ("Sam2rlError(str(error))", True),
    ],
)
def test_what_is_found(call: str, finished: bool) -> None:
    assert (not list(unfinished(call))) == finished
