"""IoU and banks over time, as SVG."""

from dataclasses import replace
from xml.etree import ElementTree

from sam2rl_tracker.report.chart import draw_chart
from sam2rl_tracker.report.style import tracker_styles


def test_a_line_for_every_tracker(made):
    root = ElementTree.fromstring(draw_chart(made.results.objects[0], tracker_styles(made.results.trackers), [3]))
    lines = [path.get("data-tracker") for path in root.iter("path") if path.get("class") == "line"]
    assert lines == list(made.results.trackers)
    kinds = [path.get("class") for path in root.iter("path")]
    assert "absent" in kinds
    assert kinds.count("mark") == 1


def test_a_tracker_that_does_not_tell_its_memory(made):
    one = made.results.objects[0]
    styles = tracker_styles(made.results.trackers)
    silent = replace(one, tracks={**one.tracks, "Other": replace(one.tracks["Other"], banks=None)})
    assert draw_chart(one, styles, []).count('class="name"') == 3
    assert draw_chart(silent, styles, []).count('class="name"') == 2
