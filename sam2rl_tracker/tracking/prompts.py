"""What a user shows of the objects of a video, on any of its frames.

Frames are numbers of the video, counted from 0; None is the first frame that is tracked. A prompt of an object that is
tracked already corrects it; one of a new object begins it. `plan.make_plan` checks prompts and puts them in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MaskPrompt:
    """The objects of one frame, as a mask file.

    Attributes:
        file: An index PNG, k = object k; or a black and white one, white = object 1.
        frame: Of the video.
        object: The number of the object, where the file shows one alone; None = as the file says.
    """

    file: Path
    frame: int | None = None
    object: int | None = None

    def __str__(self) -> str:
        return f"Mask {self.file}"


@dataclass(frozen=True)
class BoxPrompt:
    """A box around an object.

    Attributes:
        box: x, y, width, height in pixels; x, y is the top left corner.
        object: Its number; None = the first box without a number is of object 1, the second of object 2, and so on.
        frame: Of the video.
    """

    box: tuple[float, float, float, float]
    object: int | None = None
    frame: int | None = None

    def __str__(self) -> str:
        return f"Box {','.join(f'{number:g}' for number in self.box)}"


@dataclass(frozen=True)
class PointPrompt:
    """A point on an object, or beside it. All points of an object on one frame, and its box there, are one prompt.

    Attributes:
        x, y: In pixels.
        on: Whether the object is there; False: what is there does not belong to it.
        object: Its number; None = the only object that there is.
        frame: Of the video.
    """

    x: float
    y: float
    on: bool = True
    object: int | None = None
    frame: int | None = None

    def __str__(self) -> str:
        return f"Point {self.x:g},{self.y:g}{'' if self.on else ',-'}"


@dataclass(frozen=True)
class Removal:
    """The end of an object: on this frame, and from there on, it is not tracked.

    Attributes:
        object: Its number.
        frame: Of the video.
    """

    object: int
    frame: int

    def __str__(self) -> str:
        return f"The removal of object {self.object}"


Prompt = MaskPrompt | BoxPrompt | PointPrompt | Removal
