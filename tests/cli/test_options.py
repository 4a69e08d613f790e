"""What there is to ask without a command: the version, lists, and the usage; and what the environment stands for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch
import typer
from commands import Run

from sam2rl_tracker.cli.main import app
from sam2rl_tracker.cli.options import choose_arithmetic
from sam2rl_tracker.engine import Arithmetic
from sam2rl_tracker.runs.variables import DEVICE_VARIABLE, MODEL_VARIABLE

PACKAGE = Path(__file__).parents[2] / "sam2rl_tracker"


def parameters(command: click.Command, path: str) -> Iterator[tuple[str, click.Parameter]]:
    """(command, parameter) of a command and all below it."""
    for parameter in command.params:
        yield path, parameter
    for name, inner in getattr(command, "commands", {}).items():
        yield from parameters(inner, f"{path} {name}")


def test_version_policies_and_usage(run: Run) -> None:
    assert run("--version")[1].startswith("sam2rl ")
    listed = run("track", "--list-policies")[1]
    assert "dam4sam:iou_threshold=0.8" in listed
    assert run("track")[0] == 2


def test_every_model_and_device_can_come_from_the_environment() -> None:
    found = list(parameters(typer.main.get_command(app), "sam2rl"))
    for name, variable, least in (("model", MODEL_VARIABLE, 7), ("device", DEVICE_VARIABLE, 8)):
        own = {path: parameter.envvar for path, parameter in found if parameter.name == name}
        assert len(own) >= least
        assert set(own.values()) == {variable}, own
    assert {parameter.envvar for path, parameter in found if path == "sam2rl model score"} >= {MODEL_VARIABLE}


def test_the_variables_are_named_in_one_place() -> None:
    """In code; documentation may spell them."""
    named = [
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob("*.py")
        if any(f'"{variable}"' in path.read_text() for variable in (MODEL_VARIABLE, DEVICE_VARIABLE))
    ]
    assert named == [Path("runs/variables.py")]


def test_a_model_of_the_environment_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, "no-such-model")
    status, _, said = run("bench", "predict", "--rows", "1")
    assert status == 2
    assert "Model 'no-such-model' is unknown" in said
    status, _, said = run("bench", "predict", "--rows", "1", "--model", "nor-this-one")
    assert "Model 'nor-this-one' is unknown" in said


def test_policies_are_listed_and_shown(run: Run) -> None:
    status, out, _ = run("policies")
    assert status == 0
    assert "recency, sam2" in out
    listed = json.loads(run("policies", "--json")[1])["policies"]
    assert listed["samurai"]["exactness"] == "equal to the published code"
    assert listed["sam2long"] == json.loads(run("policies", "sam2long", "--json")[1])
    shown = run("policies", "sam2")[1]
    assert "SAM2VideoPredictor" in shown
    assert "no parameters" in shown
    assert "stable_frames" in run("policies", "samurai")[1]
    status, _, err = run("policies", "nonsense")
    assert (status, "Policy 'nonsense' is unknown: give one of" in err) == (2, True)


@pytest.mark.parametrize("native", [False, True])
def test_where_bfloat16_is_slower_a_sentence_says_so(
    native: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert choose_arithmetic("float32", True, "cpu") == Arithmetic(compile=True)
    assert choose_arithmetic("bfloat16", False, "cpu,cuda") == Arithmetic("bfloat16")
    assert ("float32 is faster here." in capsys.readouterr().err) == (not native)
