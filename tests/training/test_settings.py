"""Settings from words and from files, under today's names and the first ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.training.settings import PRESETS, Settings, parse_settings


def test_settings_from_words() -> None:
    expected = replace(PRESETS["paper"], learning_rate=1e-3, batch_size=64)
    assert parse_settings("paper", ["learning_rate=1e-3", "batch_size=64"]) == expected
    assert parse_settings("default", ["relative=true"]).relative
    assert PRESETS["paper"].relative
    assert not parse_settings("paper", ["relative=0"]).relative


@pytest.mark.parametrize(
    ("change", "message"),
    {
        "rate=1": "Preset 'default' has no parameter 'rate': it takes iterations=8",
        "batch_size=many": "batch_size=many is no int",
        "batch_size": "Preset 'default' has no parameter 'batch_size': it takes",
        "relative=maybe": "relative=maybe is no bool",
        "batch=1": "Setting batch_size=1 is too small: give 2 or more",
        "beam=0": "Setting beam=0 is too small: give 1 or more",
        "gamma=2": "Setting gamma=2.0 is out of range: give 0 to 1",
        "imitation=0.3": "Setting imitation=0.3 is out of range: give 0, or more than 0.5 and less than 1",
        "learning_rate=inf": "learning_rate=inf is no finite float",
        "entropy=nan": "ent_coef=nan is no finite float",
        "control=masks": "Setting control=masks is unknown: give one of memory, output, both.",
        "pointers=all": "Setting pointers=all is unknown: give one of auto, stored, recent.",
        "seed=4294967296": "Setting seed=4294967296 is out of range: give 0 to 4294967295",
    }.items(),
)
def test_settings_that_cannot_be(change: str, message: str) -> None:
    with pytest.raises(Sam2rlError) as caught:
        parse_settings("default", [change])
    assert message in str(caught.value)


def test_which_pointers_are_chosen_among() -> None:
    """The paper's are first, and alone where it is the paper's training; a folder of before has tried these."""
    assert Settings().pointer_choices == ("stored", "recent")
    assert PRESETS["paper"].pointer_choices == ("stored",)
    assert parse_settings("default", ["control=output"]).pointer_choices == ("recent",)
    assert parse_settings("default", ["pointers=recent"]).pointer_choices == ("recent",)
    assert parse_settings("default", ["imitation=0"]).pointer_choices == ("stored",), "no beams tell which are better"
    assert [Settings(pointers=pointers).assumed["pointers"] for pointers in ("auto", "stored", "recent")] == [
        *("auto", "stored", "stored")
    ]
    assert Settings.from_json(Settings(control="both", n_epochs=3).as_json()) == Settings(control="both", n_epochs=3)


def test_an_unknown_preset() -> None:
    with pytest.raises(Sam2rlError, match=r"Preset 'best' is unknown: give one of default, paper\.$"):
        parse_settings("best")


def test_the_names_that_settings_had_first() -> None:
    """They stay in files and on the command line."""
    first = {"epochs": 3, "batch": 64, "clip": 0.1, "entropy": 0.02}
    settings = parse_settings("default", [f"{name}={value}" for name, value in first.items()])
    assert settings == Settings(n_epochs=3, batch_size=64, clip_range=0.1, ent_coef=0.02)
    written = settings.as_json()
    assert first.items() <= written.items()
    assert list(written) == [
        *("iterations", "samples", "epochs", "hidden", "gamma", "learning_rate", "batch", "gae_lambda", "clip"),
        *("entropy", "seed", "patience", "imitation", "relative", "beam", "local"),
        *("control", "pointers"),
    ]
