"""The objects and frames that are shown in detail."""

from xml.etree import ElementTree

from sam2rl_tracker.evaluation.tracks import worst_span
from sam2rl_tracker.report.details import draw_details, pick_frames, rivals
from sam2rl_tracker.report.style import tracker_styles


def test_frames_that_tell_most(made):
    one = made.results.objects[0]
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
    styles = tracker_styles(made.results.trackers)
    (detail,) = draw_details(made.results, made.workspace, styles, 1)
    assert detail.one.spread == max(one.spread for one in made.results.objects)
    root = ElementTree.fromstring(detail.chart)
    assert root.tag == "svg"
    for still in detail.stills:
        assert still.picture.shape[1] == 2 * (166 + 2)
        assert still.source.startswith("data:image/webp;base64,")
