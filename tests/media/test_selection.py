"""Objects that are shown in a window: what each drag, click and key means."""

from __future__ import annotations

import numpy as np
import pytest
from windows import Act, FakeWindow, click, drag

from sam2rl_tracker.media.selection import HELP, Selected, select_objects

IMAGE = np.full((60, 80, 3), 90, dtype=np.uint8)
BOX = Selected(box=(10.0, 20.0, 21.0, 11.0))
DRAG = drag(10, 20, 30, 30)


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ([*DRAG, "enter"], [BOX]),
        ([*drag(30, 30, 10, 20), "enter"], [BOX]),
        ([*drag(-5, -5, 500, 500), "enter"], [Selected(box=(0.0, 0.0, 80.0, 60.0))]),
        ([*click(5, 6), ("right", 7, 8), "enter"], [Selected(points=((5, 6, 1), (7, 8, 0)))]),
        ([*drag(5, 6, 7, 8), "enter"], [Selected(points=((5, 6, 1),))]),  # a hand that trembles
        ([*DRAG, ("right", 7, 8), "enter"], [Selected(BOX.box, ((7, 8, 0),))]),
        ([*drag(1, 1, 9, 9), *DRAG, "enter"], [BOX]),  # a box that is drawn again
        ([*DRAG, "n", *click(1, 2), "enter"], [BOX, Selected(points=((1, 2, 1),))]),
        ([*DRAG, "n", "enter"], [BOX]),
        (["enter", "n", "backspace", *DRAG, "enter"], [BOX]),
        ([("right", 7, 8), "enter", "n", *DRAG, "enter"], [Selected(BOX.box, ((7, 8, 0),))]),  # not an object as yet
        ([*DRAG, "n", ("right", 7, 8), "enter", "backspace", "enter"], [BOX]),
        ([*DRAG, *click(1, 2), "backspace", "enter"], [BOX]),
        ([*DRAG, "n", "backspace", *click(1, 2), "enter"], [Selected(BOX.box, ((1, 2, 1),))]),
        ([*DRAG, None, "x", "escape"], []),
        (["q"], []),
    ],
)
def test_what_is_selected(acts: list[Act], expected: list[Selected]) -> None:
    window = FakeWindow(acts)
    assert select_objects(IMAGE, window) == expected
    assert window.titles == [HELP]
    assert window.is_open


def test_what_is_selected_is_seen() -> None:
    window = FakeWindow([*DRAG[:2], *DRAG[2:], ("right", 50, 50), "escape"])
    select_objects(IMAGE, window)
    differ = [(shown != IMAGE).any(axis=2) for shown in window.shown]
    assert not differ[0].any()
    assert differ[1][20, 10:20].all()  # while it is drawn
    assert not differ[1][20, 25:].any()
    assert differ[-1][20, 10:30].all()
    assert not differ[-1][25, 15:25].any()
    assert differ[-1][50, 50]
    assert len(differ) == 4  # the frame, half of the box, all of it, the point
