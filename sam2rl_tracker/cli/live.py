"""What `sam2rl track` does beside tracking a file: live sources are opened, and windows for selecting and watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sam2rl_tracker.errors import Sam2rlError

if TYPE_CHECKING:
    from sam2rl_tracker.media.live import LiveSource
    from sam2rl_tracker.tracking.passes import Tracked
    from sam2rl_tracker.tracking.prompts import Prompt

_TITLE = "sam2rl - Q: end"


@contextmanager
def open_live(
    source: str, prompts: Sequence[Prompt], start: int, every_frame: bool, timeout: float
) -> Iterator[LiveSource]:
    """A live source, which does not drop the frames that prompts are on."""
    from sam2rl_tracker.media.live import LiveSource

    keep = {prompt.frame for prompt in prompts if prompt.frame is not None}
    with closing(LiveSource(source, every_frame, keep, start, timeout)) as live:
        yield live


def select_prompts(video: Path | LiveSource, start: int) -> list[Prompt]:
    """Let the user show the objects of the first frame in a window. They are numbered from 1.

    Raises:
        Sam2rlError: The user left, or no window can be opened.
    """
    from sam2rl_tracker.media import window
    from sam2rl_tracker.media.frames import open_frames
    from sam2rl_tracker.media.selection import select_objects
    from sam2rl_tracker.tracking.prompts import BoxPrompt, PointPrompt

    frames = open_frames(video).part(start) if isinstance(video, Path) else video
    first = frames.first()
    with closing(window.ScreenWindow()) as screen:
        found = select_objects(first.image, screen)
    if not found:
        raise Sam2rlError("No object was selected, so nothing was tracked.")
    prompts: list[Prompt] = []
    for number, selected in enumerate(found, start=1):
        if selected.box:
            prompts.append(BoxPrompt(selected.box, number))
        prompts += [PointPrompt(x, y, bool(label), number) for x, y, label in selected.points]
    return prompts


@contextmanager
def watch(is_wanted: bool) -> Iterator[Callable[[Tracked], bool]]:
    """What shows every frame in a window, and is false when the user wants no more."""
    from sam2rl_tracker.media import window
    from sam2rl_tracker.media.overlay import overlay

    if not is_wanted:
        yield lambda tracked: True
        return
    with closing(window.ScreenWindow()) as screen:
        screen.title(_TITLE)

        def show(tracked: Tracked) -> bool:
            screen.show(overlay(tracked.image, tracked.labels))
            return screen.key(0) not in ("q", "escape")

        yield show
