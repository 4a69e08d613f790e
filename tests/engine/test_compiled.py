"""Compiled steps: bounded in number, reproducible, independent of their batch, and left out where nothing compiles."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sam2rl_tracker.engine import Engine, ExactEngine, Model
from sam2rl_tracker.engine.compiled import CACHE_VARIABLE, SHAPES, Compiler, cache_folder

TESTS = Path(__file__).parents[1]


class Recorded:
    """Stands for `torch.compile`: it compiles nothing, notes what it is called with, and fails if told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.calls: list[object] = []
        self.fails = False
        monkeypatch.setattr(torch, "compile", self.compile)
        monkeypatch.setenv(CACHE_VARIABLE, "unused")

    def compile(self, step: Callable[..., Tensor], **settings: Any) -> Callable[..., Tensor]:
        assert settings["fullgraph"]
        assert settings["dynamic"] is False

        def run(*args: Tensor) -> Tensor:
            if self.fails:
                raise RuntimeError("no compiler was found.\nLook elsewhere.")
            self.calls.append(tuple(args[0].shape))
            return step(*args)

        return run


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return Recorded(monkeypatch)


def test_only_so_many_shapes_are_compiled(recorded: Recorded) -> None:
    run = Compiler().compile(lambda x: 2 * x)
    for size in (*range(1, SHAPES + 4), 1, SHAPES + 3):
        assert torch.equal(run(torch.ones(size)), torch.full((size,), 2.0))
    assert recorded.calls == [(size,) for size in (*range(1, SHAPES + 1), 1)]


def test_where_compiling_fails_one_sentence_says_so(recorded: Recorded) -> None:
    compiler = Compiler()
    double, half = compiler.compile(lambda x: 2 * x), compiler.compile(lambda x: x / 2)
    recorded.fails = True
    with pytest.warns(
        RuntimeWarning, match=r"^The network runs uncompiled, because .* failed: no compiler was found\.$"
    ):
        assert double(torch.ones(1)).item() == 2
    recorded.fails = False  # it is not tried again: a run is one or the other
    assert half(torch.ones(1)).item() == 0.5
    assert not recorded.calls


def test_an_error_of_the_step_itself_is_raised(recorded: Recorded) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Compiler().compile(lambda x: x @ x)(torch.ones(2, 3))


def test_what_was_compiled_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Compiler()
    folder = os.environ.pop(CACHE_VARIABLE)
    assert folder == str(cache_folder())
    if sys.platform != "darwin":
        assert Path(folder).is_relative_to(tmp_path)
    monkeypatch.setenv(CACHE_VARIABLE, "theirs")
    Compiler()
    assert os.environ[CACHE_VARIABLE] == "theirs"


def test_exact_mode_is_never_compiled(nano: Model, recorded: Recorded) -> None:
    assert Engine(nano, compiled=True).compiled
    assert not ExactEngine(nano).compiled


def in_a_process(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, **variables}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_without_a_compiler_steps_run_as_they_are(tmp_path: Path) -> None:
    script = """
import torch
from sam2rl_tracker.engine.compiled import Compiler
print(Compiler().compile(lambda x: x.sin() * 2 + 1)(torch.zeros(8)).sum().item())
"""
    ran = in_a_process(script, PATH="", CXX="", TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    assert ran.stdout == "8.0\n"
    assert ran.stderr.count("The network runs uncompiled, because compiling it failed: ") == 1


SIMULATE = """
import hashlib
import numpy as np
import torch
from reference import load_video
from sam2rl_tracker.engine import Engine, load_model
from sam2rl_tracker.evaluation.clips import Clip
from sam2rl_tracker.training.simulator import Simulator

torch.set_num_threads(1)
model, video = load_model("nano", "cpu"), load_video("scene-930014")
clip = Clip(video.images[:12], video.truth[:12], np.ones(12, bool))
compiled = Engine(model, compiled=True)

def last(engine, rollouts, store=64):
    simulator = Simulator(engine, clip, rows=4, store_mb=store)
    states = [simulator.start()] * len(rollouts)
    for actions in rollouts.T:
        simulator.trim()
        states = simulator.step(states, actions.tolist())
    kept = [simulator._kept(state) for state in states]
    return [torch.cat([one.logits.flatten(), one.record.pointer]) for one in kept], simulator.counters.recomputed

def equal(some, others):
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))

rollouts = np.random.default_rng(1).integers(0, 7, (20, 10))
states, _ = last(compiled, rollouts)
again, recomputed = last(compiled, rollouts, store=0.15)
assert recomputed, "nothing was dropped"
assert equal(again, states), "states depend on the store"
assert equal(last(compiled, rollouts[::-1])[0][::-1], states), "states depend on their order"
assert equal(last(compiled, rollouts[:1])[0], states[:1]), "states depend on what is computed beside them"
plain, _ = last(Engine(model), rollouts)
apart = max((one - other).abs().max().item() for one, other in zip(states, plain, strict=True))
assert apart < 1e-2, apart
assert not equal(plain, states), "nothing was compiled"
print(hashlib.sha256(torch.cat(states).numpy().tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_states_bits_depend_on_nothing_but_itself(tmp_path: Path) -> None:
    """Neither on other rows, order and store, nor on the process; a second process finds what the first compiled."""
    first = in_a_process(SIMULATE, TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    compiled = set(tmp_path.rglob("*.so"))
    assert compiled, first.stderr
    second = in_a_process(SIMULATE, TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    assert first.stdout == second.stdout
    assert set(tmp_path.rglob("*.so")) == compiled
    assert "uncompiled" not in first.stderr + second.stderr
