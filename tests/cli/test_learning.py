"""`sam2rl learn` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Run

import sam2rl_tracker.learning.learn as module
from sam2rl_tracker.learning.learn import Learning

ASKED = (
    "learn",
    "generated",
    "--validate",
    "generated",
    "--out",
    "a.safetensors",
    "--model",
    "nano",
    "--device",
    "cpu",
)


def test_ctrl_c_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **more: object) -> Learning:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "learn", interrupted)
    status, _, err = run(*ASKED)
    assert status != 0
    assert "what is finished is kept. Repeat the command to go on." in err


def test_what_came_of_it_is_said_and_printed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Learning(Path("a.safetensors"), "ppo", {"round 1": 0.61, "ppo": 0.63}, 16, {"round 1": 9}, False)
    monkeypatch.setattr(module, "learn", lambda *arguments, **more: found)
    status, out, err = run(*ASKED, "--json")
    assert status == 0
    assert "ppo: quality 0.6300 on the validation's videos <- chosen" in err
    assert "presence could not be learned" in err
    assert "--policy learned:agent=a.safetensors" in err
    assert json.loads(out)["chosen"] == "ppo"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--set", "rounds=none"), "rounds"),
        (("--set", "control=all"), "give memory, output or both"),
        (("--model", "tiny"), "Model 'tiny' is unknown"),
        (("--dtype", "int8"), "Dtype 'int8' is unknown"),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Run, given: tuple[str, str], said: str) -> None:
    status, _, err = run(*ASKED, *given)
    assert status == 2
    assert err.startswith("error: ")
    assert said in err
