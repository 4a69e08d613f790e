"""Contact sheets."""

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.media.overlay import object_color
from sam2rl_tracker.report.contact_sheet import contact_sheet
from sam2rl_tracker.synthetic import generate_scene


def test_rows_are_scenes_and_columns_frames():
    sheet = contact_sheet([3, 11], "easy", frames=9, size=48, columns=3, objects=2)
    margin = sheet.shape[1] - 3 * 50
    assert sheet.shape == (100, margin + 150, 3)
    assert margin > 10
    assert sheet[:50, :margin].min() < 128  # a number stands there
    for row, seed in enumerate((3, 11)):
        scene = generate_scene(seed, 9, 48, 2, preset="easy")
        for column, frame in enumerate((0, 4, 8)):
            left = margin + 50 * column
            picture = sheet[50 * row : 50 * row + 48, left : left + 48]
            changed = (picture != scene.images[frame]).any(axis=2)  # [48, 48]
            assert not changed[scene.labels[frame] == 0].any()  # outlines are drawn within the targets
            for k in (1, 2):
                if scene.present[frame, k - 1]:
                    drawn = (picture[scene.labels[frame] == k] == object_color(k)).all(axis=1)
                    assert 0 < drawn.mean() < 0.9


def test_no_more_columns_than_frames():
    assert contact_sheet([0], frames=2, size=32).shape[1] < 3 * 34
    with pytest.raises(Sam2rlError, match="0 rows"):
        contact_sheet([])
