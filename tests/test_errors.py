"""There is one form of error sentence: every text that `Sam2rlError` is given has a capital letter and a full stop."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sam2rl_tracker
from sam2rl_tracker.errors import join_sentences

PACKAGE = Path(sam2rl_tracker.__file__).parent

ERRORS = {"Sam2rlError", "NoAgent", "NothingFound", "StreamError"}
SENTENCES = {"error", "result", "lacking"}
"""Variables that hold an error's sentence: another error, a task's result that is one, a text of `_lacking`."""
MAKERS = {"_lacking", "join_sentences"}
"""Functions that give an error's sentence."""


def passed_on(text: ast.expr) -> bool:
    """Whether another error's sentence, or one made elsewhere, is given as it is."""
    if isinstance(text, ast.Name):
        return text.id in SENTENCES
    if isinstance(text, ast.Call) and isinstance(text.func, ast.Name):
        return text.func.id in MAKERS or (text.func.id == "str" and all(map(passed_on, text.args)))
    return False


def ends(text: ast.expr, last: bool) -> Iterator[str | None]:
    """The constant parts with which a text may begin, or end if `last`; None where that is a value.

    The text is a literal, an f-string, a sum of these, or a choice between two of them.
    """
    if isinstance(text, ast.Constant):
        yield str(text.value)
    elif isinstance(text, ast.JoinedStr):
        yield from ends(text.values[-1 if last else 0], last)
    elif isinstance(text, ast.BinOp):
        yield from ends(text.right if last else text.left, last)
    elif isinstance(text, ast.IfExp):
        yield from ends(text.body, last)
        yield from ends(text.orelse, last)
    elif passed_on(text.value if isinstance(text, ast.FormattedValue) else text):
        yield "A sentence."
    else:
        yield None


def texts(source: str) -> Iterator[ast.expr]:
    """What errors of ours are given in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
            (text,) = node.args
            yield text


def finished(text: ast.expr) -> bool:
    """Whether a text ends with a full stop, wherever it may end."""
    return all(end is not None and end.endswith(".") for end in ends(text, last=True))


def capital(text: ast.expr) -> bool:
    """Whether a text begins with a capital letter, with a mark, or with a value: a path, a name, a number."""
    if isinstance(text, ast.Call):  # nothing is known of its value
        return passed_on(text)
    return all(begin is None or not begin[0].islower() for begin in ends(text, last=False))


@pytest.mark.parametrize("rule", [finished, capital])
@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_errors_are_sentences(path: Path, rule: Callable[[ast.expr], bool]) -> None:
    found = [text for text in texts(path.read_text(encoding="utf-8")) if not rule(text)]
    assert not found, "\n".join(f"{path}:{text.lineno}: {ast.unparse(text)}" for text in found)


@pytest.mark.parametrize(
    ("call", "is_capital", "is_finished"),
    [
        ("Sam2rlError('It is empty.')", True, True),
        ("Sam2rlError('It is empty')", True, False),
        ("Sam2rlError('it is empty.')", False, True),
        ("Sam2rlError(f'{x} is empty: fill it.')", True, True),
        ("Sam2rlError(f'It is empty: fill {x}')", True, False),
        ("Sam2rlError('It is ' + 'empty.')", True, True),
        ("Sam2rlError('it is ' + 'empty.')", False, True),
        ("Sam2rlError('It is full.' if x else 'it is empty')", False, False),
        ("Sam2rlError('`make` failed.')", True, True),
        ("Sam2rlError(str(error))", True, True),
        ("Sam2rlError(f'{path}: {error}')", True, True),
        ("Sam2rlError(_lacking(x))", True, True),
        ("Sam2rlError('; '.join(found))", False, False),
        ("Sam2rlError(message(x))", False, False),
        ("Sam2rlError(str(failure))", False, False),  # of a `Failure`: it has no full stop
    ],
)
def test_what_is_found(call: str, is_capital: bool, is_finished: bool) -> None:
    (text,) = texts(call)
    assert (capital(text), finished(text)) == (is_capital, is_finished)


def test_joined_sentences_have_one_full_stop_each() -> None:
    assert join_sentences(["A is empty", "B is damaged."]) == "A is empty. B is damaged."
