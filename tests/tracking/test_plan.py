"""Prompts in order: what begins, is corrected and ends when, and what is refused before anything is tracked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.frames import FrameSource, open_frames
from sam2rl_tracker.tracking.plan import Plan, check_span, make_plan
from sam2rl_tracker.tracking.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Removal

HEIGHT, WIDTH, FRAMES = 24, 32, 10
BOX = (2, 3, 10, 8)


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    """A folder `clip` of ten frames; masks beside it are named by the objects in them."""
    monkeypatch.chdir(tmp_path)
    Path("clip").mkdir()
    for t in range(FRAMES):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 20 * t, dtype=np.uint8)).save(f"clip/{t}.png")
    for objects in ((1,), (2, 5), (3,), ()):
        save_mask("-".join(map(str, objects)) or "none", *objects)
    return open_frames("clip")


def save_mask(name: str, *objects: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    labels = np.zeros(size, dtype=np.uint8)
    for row, k in enumerate(objects):
        labels[4 * row + 1 : 4 * row + 4, 1:9] = k
    Image.fromarray(labels).save(f"{name}.png")


def mask(name: str, frame: int | None = None, object: int | None = None) -> MaskPrompt:
    return MaskPrompt(Path(f"{name}.png"), frame, object)


def plan_of(video: FrameSource, *prompts: Prompt, start: int = 0, end: int | None = None) -> Plan:
    return make_plan(prompts, video, (HEIGHT, WIDTH), start, end)


def told(plan: Plan) -> dict[int, list[tuple[int, str]]]:
    return {frame: step.events for frame, step in plan.steps.items()}


def test_a_prompt_adds_what_is_new_and_corrects_what_is_tracked(video: FrameSource) -> None:
    plan = plan_of(
        video,
        Removal(5, 7),
        mask("2-5", 4),
        BoxPrompt(BOX, 2, 1),
        PointPrompt(3, 4, object=5, frame=6),
        PointPrompt(5, 6, on=False, object=5, frame=6),
        mask("3"),
    )
    assert told(plan) == {
        0: [(3, "added")],
        1: [(2, "added")],
        4: [(5, "added"), (2, "corrected")],
        6: [(5, "corrected")],
        7: [(5, "removed")],
    }
    (corrected,) = plan.steps[6].corrected
    assert (corrected.mask, corrected.box, corrected.points.tolist()) == (None, None, [[3, 4, 1], [5, 6, 0]])
    drawn = plan.steps[4].corrected[0].mask.unpack()
    assert (drawn.shape, drawn.sum(), drawn[2, 2]) == ((HEIGHT, WIDTH), 24, True)
    assert plan.begins == {3: 0, 2: 1, 5: 4}
    assert told(plan.backwards(0)) == {4: [(5, "added")], 1: [(2, "added")]}
    assert plan.changes(0, FRAMES) == (
        "object 2 added on frame 1, object 5 added on frame 4, object 2 corrected on frame 4, "
        "object 5 corrected on frame 6, object 5 removed on frame 7"
    )


def test_objects_without_a_number(video: FrameSource) -> None:
    """Boxes count up, in whatever order the frames are; points are of the only object."""
    plan = plan_of(video, BoxPrompt(BOX, frame=3), BoxPrompt(BOX), PointPrompt(1, 1, object=2, frame=5))
    assert told(plan) == {0: [(2, "added")], 3: [(1, "added")], 5: [(2, "corrected")]}
    plan = plan_of(video, mask("3"), PointPrompt(1, 1, frame=5))
    assert told(plan) == {0: [(3, "added")], 5: [(3, "corrected")]}
    assert told(plan_of(video, PointPrompt(1, 1), PointPrompt(2, 2, on=False))) == {0: [(1, "added")]}
    assert told(plan_of(video, BoxPrompt(BOX), PointPrompt(2, 2, on=False))) == {0: [(1, "added")]}


def test_no_frame_is_the_first_one(video: FrameSource) -> None:
    assert told(plan_of(video, BoxPrompt(BOX), start=3)) == {3: [(1, "added")]}


def test_a_mask_of_one_object_may_be_of_any(video: FrameSource) -> None:
    plan = plan_of(video, mask("2-5"), mask("1", 3, object=5))
    assert told(plan)[3] == [(5, "corrected")]


BAD = {
    "nothing": ([], "Give the objects to track: --init"),
    "removals alone": ([Removal(1, 3)], "Give the objects to track"),
    "no such frame": ([BoxPrompt(BOX, frame=10)], "Box 2,3,10,8 is on frame 10, but clip has 10 frames, which count"),
    "mask on no frame": ([mask("1", 10)], "Mask 1.png is on frame 10, but clip has 10 frames"),
    "before the start": ([BoxPrompt(BOX, frame=1)], "is on frame 1, before the first one that is tracked, 2"),
    "behind the end": ([BoxPrompt(BOX, frame=9)], "is on frame 9, after the last one that is tracked, 8"),
    "removed behind the end": ([BoxPrompt(BOX), Removal(1, 9)], "The removal of object 1 is on frame 9, after"),
    "empty mask": ([mask("none")], "none.png is empty: it must show the objects of frame 2"),
    "no mask": ([mask("nowhere")], "nowhere.png"),
    "small mask": ([mask("small")], "small.png is 4x9 pixels but the first frame of clip is 32x24"),
    "mask of several": ([mask("2-5", object=1)], "2-5.png shows objects 2, 5, but is to be of object 1 alone"),
    "point outside": ([PointPrompt(32, 3)], "Point 32,3 on frame 2 lies outside of the image of 32x24 pixels"),
    "point above": ([PointPrompt(3, -1)], "Point 3,-1 on frame 2 lies outside"),
    "box outside": ([BoxPrompt((40, 1, 3, 3))], "The box 40,1,3,3 (x, y, width, height) has no area inside the image"),
    "box without area": ([BoxPrompt((4, 1, 0, 3))], "The box 4,1,0,3 (x, y, width, height) has no area"),
    "negative alone": ([PointPrompt(3, 3, on=False)], "Object 1 begins on frame 2 with nothing but points beside it"),
    "both sides": ([PointPrompt(3, 3), PointPrompt(3, 3, on=False)], "Point 3,3 on frame 2 is said to lie on object 1"),
    "two masks": ([mask("1"), mask("3", object=1)], "Object 1 is given twice on frame 2, Mask 1.png and Mask 3.png"),
    "two boxes": ([BoxPrompt(BOX, 1), BoxPrompt((0, 0, 5, 5), 1)], "Object 1 is given twice on frame 2, Box 2,3,10,8"),
    "mask and box": ([mask("1"), BoxPrompt(BOX, 1)], "Object 1 has a mask and something else on frame 2, Mask 1.png"),
    "mask and point": ([mask("1"), PointPrompt(1, 1)], "Object 1 has a mask and something else on frame 2"),
    "a box of whom": (
        [mask("1"), BoxPrompt(BOX)],
        "Box 2,3,10,8 does not say of which object it is: give either --init",
    ),
    "a point of whom": ([mask("2-5"), PointPrompt(1, 1)], "Point 1,1 does not say of which object it is, and another"),
    "some points named": (
        [PointPrompt(1, 1), PointPrompt(2, 2, object=1)],
        "Point 1,1 does not say of which object it is, and another prompt is of object 1: give --point X,Y,object=K",
    ),
    "removed twice": ([BoxPrompt(BOX), Removal(1, 4), Removal(1, 5)], "Object 1 was removed on frame 4, so on frame 5"),
    "corrected when gone": (
        [BoxPrompt(BOX), Removal(1, 4), PointPrompt(1, 1, frame=6)],
        "Object 1 was removed on frame 4, so on frame 6 it can be neither corrected nor removed",
    ),
    "removed too soon": (
        [BoxPrompt(BOX, frame=5), Removal(1, 4)],
        "Object 1 cannot be removed on frame 4: it is given",
    ),
    "removed, never given": ([BoxPrompt(BOX), Removal(9, 4)], "Object 9 cannot be removed on frame 4"),
    "removed where given": (
        [BoxPrompt(BOX), PointPrompt(1, 1, frame=4), Removal(1, 4)],
        "Object 1 is removed on frame 4 and given there too",
    ),
    "a number too high": ([BoxPrompt(BOX, 255)], "Box 2,3,10,8 is of object 255, but objects of an index PNG have"),
    "no number": (
        [BoxPrompt(BOX, 0)],
        "Box 2,3,10,8 is of object 0, but objects of an index PNG have numbers 1 to 254",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(video: FrameSource, case: str) -> None:
    prompts, message = BAD[case]
    save_mask("small", 1, size=(9, 4))
    with pytest.raises(Sam2rlError, match=re.escape(message)):
        plan_of(video, *prompts, start=2, end=None if "no frame" in case or "such" in case else 8)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (10, None, "--start is frame 10, but clip has 10 frames, which count from 0 to 9"),
        (0, 10, "--end is frame 10, but clip has 10 frames"),
        (5, 4, "Frames 5 to 4 were asked for"),
        (-1, None, "Frames -1 to None were asked for"),
    ],
)
def test_frames_that_are_not_there(video: FrameSource, start: int, end: int | None, message: str) -> None:
    check_span(video, 0, 9)
    with pytest.raises(Sam2rlError, match=re.escape(message)):
        check_span(video, start, end)


def test_what_never_came(video: FrameSource) -> None:
    video.count = None  # as of a stream
    plan = plan_of(video, BoxPrompt(BOX), PointPrompt(1, 1, frame=40), Removal(1, 50))
    assert plan.missed(FRAMES) == [
        "Tracking ended with frame 9: object 1 was not corrected on frame 40, which never came.",
        "Tracking ended with frame 9: object 1 was not removed on frame 50, which never came.",
    ]
    assert plan.missed(51) == []
    assert plan.changes(0, FRAMES) == ""
