"""Objects that a user shows in a window: a box is drawn, or points are clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from sam2rl_tracker.media.images import Image
from sam2rl_tracker.media.overlay import draw_prompt
from sam2rl_tracker.media.window import Window

Box: TypeAlias = tuple[float, float, float, float]  # x, y, width, height, in pixels
Point: TypeAlias = tuple[float, float, int]  # x, y, in pixels; 1 = on the object, 0 = off it

HELP = (
    "Drag a box around the object, or click on it; right click: not this. "
    "Enter: track, N: next object, Backspace: undo, Esc: leave"
)
_LEAST_DRAG = 3  # pixels; what moves less was meant to be a click
_WAIT = 0.05  # seconds between looks at what the mouse did


@dataclass(frozen=True)
class Selected:
    """One object as the user showed it.

    Attributes:
        box: None where none was drawn.
        points: In the order of the clicks.
    """

    box: Box | None = None
    points: tuple[Point, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether it says where the object is; points off it alone do not."""
        return self.box is not None or any(label for _, _, label in self.points)


@dataclass
class Selection:
    """What was selected so far, and what the mouse is about to do.

    Attributes:
        size: (height, width) of the image.
        done: Objects before the one at work.
        current: The one at work.
    """

    size: tuple[int, int]
    done: list[Selected] = field(default_factory=list)
    current: Selected = field(default_factory=Selected)
    _history: list[Selected] = field(default_factory=list)  # of the one at work
    _pressed: tuple[int, int] | None = None
    _pointer: tuple[int, int] = (0, 0)

    def mouse(self, what: str, x: int, y: int) -> None:
        """As `window.OnMouse`."""
        height, width = self.size
        x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
        self._pointer = (x, y)
        if what == "left":
            self._pressed = (x, y)
        elif what == "right":
            self._add(points=(*self.current.points, (x, y, 0)))
        elif what == "up" and self._pressed:
            box = self.drawn_box()
            if box:
                self._add(box=box)
            else:
                self._add(points=(*self.current.points, (*self._pressed, 1)))
            self._pressed = None

    def drawn_box(self) -> Box | None:
        """The box that is being drawn, both corners within it; None where there is none, or a mere click."""
        if self._pressed is None:
            return None
        (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(self._pressed, self._pointer, strict=True))
        is_box = min(x1 - x0, y1 - y0) >= _LEAST_DRAG
        return (float(x0), float(y0), float(x1 - x0 + 1), float(y1 - y0 + 1)) if is_box else None

    def undo(self) -> None:
        """Forget the last box or point of the object at work; where it has none, take up the object before it."""
        if self._history:
            self.current = self._history.pop()
        elif self.done:
            self.current = self.done.pop()

    def next_object(self) -> bool:
        """Go on to another object; False where the one at work is not complete."""
        if self.current.is_complete:
            self.done.append(self.current)
            self.current = Selected()
            self._history.clear()
            return True
        return False

    def finish(self) -> list[Selected] | None:
        """All objects; None where there is none, or the one at work has been begun and is not complete."""
        if self.current.is_complete:
            return [*self.done, self.current]
        return self.done if self.done and self.current == Selected() else None

    def objects(self) -> list[Selected]:
        """All objects as they are now, the one at work last, with the box that is being drawn."""
        return [*self.done, Selected(self.drawn_box() or self.current.box, self.current.points)]

    def _add(self, box: Box | None = None, points: tuple[Point, ...] | None = None) -> None:
        self._history.append(self.current)
        self.current = Selected(box or self.current.box, self.current.points if points is None else points)


def select_objects(image: Image, window: Window) -> list[Selected]:
    """Show a frame and let the user show the objects in it.

    Args:
        image: uint8 [h, w, 3] RGB.
        window: Where; it stays open.

    Returns:
        The objects; none where the user left.
    """
    height, width = image.shape[:2]
    selection = Selection((height, width))
    window.on_mouse(selection.mouse)
    window.show(image)
    window.title(HELP)
    seen = selection.objects()
    found: list[Selected] | None = None
    while found is None:
        key = window.key(_WAIT)
        if key in ("escape", "q"):
            return []
        if key == "enter":
            found = selection.finish()
        elif key == "n":
            selection.next_object()
        elif key == "backspace":
            selection.undo()
        if selection.objects() != seen:
            seen = selection.objects()
            window.show(_draw(image, seen))
    window.on_mouse(lambda what, x, y: None)
    return found


def _draw(image: Image, objects: Sequence[Selected]) -> Image:
    for number, selected in enumerate(objects, start=1):
        points = np.array(selected.points, dtype=np.float32).reshape(-1, 3)
        image = draw_prompt(image, number, box=selected.box, points=points)
    return image
