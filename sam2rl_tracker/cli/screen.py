"""What `sam2rl track` does with a window: objects are selected in it, and tracking is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sam2rl_tracker.media.images import Image
from sam2rl_tracker.media.window import Window

if TYPE_CHECKING:
    from sam2rl_tracker.tracking.passes import Tracked
    from sam2rl_tracker.tracking.video_prompts import Prompt

_TITLE = "sam2rl - Q: end"


def select_prompts(image: Image, window: Window) -> list[Prompt]:
    """Let the user show the objects of the first frame, which are numbered from 1; none where the user left."""
    from sam2rl_tracker.media.selection import select_objects
    from sam2rl_tracker.tracking.video_prompts import BoxPrompt, PointPrompt

    prompts: list[Prompt] = []
    for number, selected in enumerate(select_objects(image, window), start=1):
        if selected.box:
            prompts.append(BoxPrompt(selected.box, number))
        prompts += [PointPrompt(x, y, bool(label), number) for x, y, label in selected.points]
    return prompts


def show_in(window: Window) -> Callable[[Tracked], bool]:
    """What shows every frame, and is false when the user wants no more."""
    from sam2rl_tracker.media.overlay import overlay

    window.title(_TITLE)

    def show(tracked: Tracked) -> bool:
        window.show(overlay(tracked.image, tracked.labels))
        return window.key(0) not in ("q", "escape")

    return show
