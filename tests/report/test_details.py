"""Charts of banks, and the frames that are shown."""

from xml.etree import ElementTree

import numpy as np
import pytest

from sam2rl_tracker.report.details import chart, draw_details, pick_frames, rivals, stays
from sam2rl_tracker.report.palette import tracker_styles
from sam2rl_tracker.report.words import worst_span


@pytest.mark.parametrize("seed", range(5))
def test_a_frame_keeps_its_slot_and_every_bank_is_drawn(seed):
    rng = np.random.default_rng(seed)
    banks = [
        tuple(sorted(rng.choice(t, size=min(t, int(rng.integers(0, 5))), replace=False).tolist())) for t in range(30)
    ]
    found = stays(banks, 0)
    for t, bank in enumerate(banks):
        there = [stay for stay in found if stay.begin <= t <= stay.end]
        assert sorted(stay.frame for stay in there) == list(bank)
        assert len({stay.slot for stay in there}) == len(there)
    assert max((stay.slot for stay in found), default=0) < 6  # the first is the prompted frame's
    for stay in found:  # as long as can be: it was not there before, nor after
        assert stay.begin == 0 or stay.frame not in banks[stay.begin - 1]
        assert stay.end == 29 or stay.frame not in banks[stay.end + 1]


def test_frames_that_tell_most(made):
    one = made.measured.objects[0]
    pair = rivals(one, "SAM2")
    assert pair == ("SAM2", "SAM2RL")
    picks = pick_frames(one, pair)
    assert list(picks) == sorted(picks)
    assert 0 not in picks
    gain = one.tracks["SAM2RL"].overlaps - one.tracks["SAM2"].overlaps
    ahead = [t for t, why in picks.items() if why == "SAM2RL is ahead most"]
    assert len(ahead) == 2
    assert picks[worst_span(one, "SAM2", "SAM2RL")[0]] == "SAM2 falls behind from here"
    assert all(gain[t] == gain.max() for t in ahead)
    (best,) = (t for t, why in picks.items() if why == "best for both")
    assert one.visible[best]


def test_charts_are_drawn_for_those_that_differ_most(made):
    styles = tracker_styles(made.measured.trackers)
    (detail,) = draw_details(made.measured, made.workspace, styles, 1)
    assert detail.one.spread == max(one.spread for one in made.measured.objects)
    root = ElementTree.fromstring(detail.chart)
    lines = [path.get("data-tracker") for path in root.iter("path") if path.get("class") == "line"]
    assert lines == list(made.measured.trackers)
    for still in detail.stills:
        assert still.picture.shape[1] == 2 * (166 + 2)
        assert still.source.startswith("data:image/webp;base64,")


def test_a_tracker_that_does_not_tell_its_memory(made):
    one = made.measured.objects[0]
    assert 'class="absent"' in chart(one, tracker_styles(made.measured.trackers), [])
    before = chart(one, tracker_styles(made.measured.trackers), [])
    values = made.workspace.folder / "results" / "Other" / "baseline" / "one" / "one_001_memory_frames.value"
    text = values.read_text()
    try:
        values.write_text("what else\n")
        from sam2rl_tracker.report.measured import measure

        silent = measure(made.workspace.folder, made.report).objects[0]
    finally:
        values.write_text(text)
    assert silent.tracks["Other"].banks is None
    after = chart(silent, tracker_styles(made.measured.trackers), [])
    assert before.count('class="name"') == 3
    assert after.count('class="name"') == 2
