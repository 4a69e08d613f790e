"""The grammar of prompts on the command line and in a file: what it says, and one sentence for what it does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sam2rl_tracker.cli.prompts import parse_box, parse_init, parse_point, parse_removal, read_prompts
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.tracking.prompts import BoxPrompt, MaskPrompt, PointPrompt, Removal


def test_what_options_say() -> None:
    assert parse_init("a.png") == MaskPrompt(Path("a.png"))
    assert parse_init("a.png@12") == MaskPrompt(Path("a.png"), 12)
    assert parse_box("1,2,3,4") == BoxPrompt((1, 2, 3, 4))
    assert parse_box("-1.5,2,3e1,4,object=7@12") == BoxPrompt((-1.5, 2, 30, 4), 7, 12)
    assert parse_box("1,2,3,4@0") == BoxPrompt((1, 2, 3, 4), None, 0)
    assert parse_point("5,6") == PointPrompt(5, 6)
    assert parse_point("5,6,-") == PointPrompt(5, 6, on=False)
    assert parse_point("-5,-6,-,object=2@40") == PointPrompt(-5, -6, on=False, object=2, frame=40)
    assert parse_removal("3@40") == Removal(3, 40)


def test_a_path_may_hold_what_looks_like_a_frame(tmp_path: Path) -> None:
    """The name of a file that is there is meant as a whole; otherwise the last part is the frame."""
    folder = tmp_path / "me@7"
    folder.mkdir()
    (folder / "a@3").touch()
    assert parse_init(f"{folder}/a@3") == MaskPrompt(folder / "a@3")
    assert parse_init(f"{folder}/a@3@5") == MaskPrompt(folder / "a@3", 5)
    assert parse_init(f"{folder}/b@3") == MaskPrompt(folder / "b", 3)
    assert parse_init(f"{folder}/b@3.png") == MaskPrompt(folder / "b@3.png")


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_box, "1,2,3", "Box '1,2,3' is not X,Y,W,H"),
        (parse_box, "1,2,3,4,5", "is not X,Y,W,H"),
        (parse_box, "1,2,3,nan", "is not X,Y,W,H"),
        (parse_box, "1,2,3,4@", "is not X,Y,W,H"),
        (parse_box, "1,2,3,4@-1", "is not X,Y,W,H"),
        (parse_box, "1,2,3,4,object=x", "'1,2,3,4,object=x' does not end in object=K"),
        (parse_box, "object=2,1,2,3,4", "is not X,Y,W,H"),
        (parse_point, "1", "Point '1' is not X,Y"),
        (parse_point, "1,2,+", "is not X,Y"),
        (parse_point, "1,2,object=2,-", "does not end in object=K"),
        (parse_removal, "3", "Removal '3' is not K@FRAME"),
        (parse_removal, "object=3@4", "is not K@FRAME"),
    ],
)
def test_what_options_do_not_say(parse, text: str, message: str) -> None:
    with pytest.raises(Sam2rlError, match=re.escape(message)):
        parse(text)


def test_a_file_of_prompts(tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    entries = [
        {"mask": "first.png"},
        {"frame": 12, "object": 2, "box": [1, 2, 3.5, 4], "points": [[5, 6], [7, 8, 0], [9, 10, 1]]},
        {"frame": 40, "object": 3, "mask": "/masks/forty.png"},
        {"frame": 60, "object": 2, "remove": True},
    ]
    file.write_text("\ufeff" + json.dumps(entries), encoding="utf-8")  # Windows' editors begin files with this mark
    assert read_prompts(file) == [
        MaskPrompt(tmp_path / "first.png"),
        BoxPrompt((1, 2, 3.5, 4), 2, 12),
        PointPrompt(5, 6, True, 2, 12),
        PointPrompt(7, 8, False, 2, 12),
        PointPrompt(9, 10, True, 2, 12),
        MaskPrompt(Path("/masks/forty.png"), 40, 3),
        Removal(2, 60),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "prompts.json is no JSON (Expecting value: line 1 column 2"),
        ("{}", "prompts.json holds no list"),
        ("[3]", "Prompt 1 of prompts.json is 3, expected an object"),
        ('[{"frame": 3}]', "Prompt 1 of prompts.json gives nothing: it needs mask, box, points or remove"),
        ('[{"mask": "a"}, {"boxes": []}]', "Prompt 2 of prompts.json has a field 'boxes': there are box, frame"),
        ('[{"mask": 3}]', "has mask 3, expected the path"),
        (
            '[{"mask": "a", "box": [1, 2, 3, 4]}]',
            "has box and mask: of mask, box, points or remove only box and points",
        ),
        ('[{"box": [1, 2, 3]}]', "has box [1, 2, 3], expected [x, y, width, height]"),
        ('[{"box": [1, 2, 3, true]}]', "has box [1, 2, 3, true], expected"),
        ('[{"box": [1, 2, 3, NaN]}]', "has box [1, 2, 3, NaN], expected"),
        (f'[{{"box": [1, 2, 3, {10**400}]}}]', "has box [1, 2, 3, 1000"),
        ('[{"mask": "a\\u0000b"}]', 'has mask "a\\u0000b", expected the path'),
        ("[" * 100_000, "prompts.json is no JSON (maximum recursion depth"),
        ('[{"points": []}]', "has points [], expected a list of [x, y]"),
        ('[{"points": [1, 2]}]', "has a point 1, expected [x, y]"),
        ('[{"points": [[1, 2, 3]]}]', "has a point [1, 2, 3], expected [x, y]"),
        ('[{"frame": -1, "points": [[1, 2]]}]', "has frame -1, expected a whole number of 0 or more"),
        ('[{"frame": true, "points": [[1, 2]]}]', "has frame true, expected a whole number"),
        ('[{"frame": null, "points": [[1, 2]]}]', "has frame null, expected a whole number"),
        ('[{"object": 0, "points": [[1, 2]]}]', "has object 0, expected a whole number of 1 or more"),
        ('[{"object": 1, "remove": true}]', "is no removal, expected"),
        ('[{"object": 1, "frame": 2, "remove": 1}]', "is no removal, expected"),
    ],
)
def test_a_malformed_file_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompts.json").write_text(text)
    with pytest.raises(Sam2rlError, match=re.escape(message)):
        read_prompts(Path("prompts.json"))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(Sam2rlError, match=r"nowhere\.json cannot be read"):
        read_prompts(Path("nowhere.json"))
