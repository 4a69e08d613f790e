"""`sam2rl benchmark` and `sam2rl bench`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Run

from sam2rl_tracker.experiments import everything
from sam2rl_tracker.experiments.everything import Measured, Part, Report


def test_the_benchmark_knows_its_trackers(run: Run) -> None:
    status, _, said = run("benchmark", "B", "--tracker", "DAM4SAM", "--tracker", "MINE")
    assert (status, "MINE is not a tracker of" in said) == (2, True)


@pytest.mark.slow
def test_bench_track_prints_json_alone(run: Run) -> None:
    status, out, said = run("bench", "track", "--case", "2x61", "--json", "--device", "cpu")
    assert status == 0, said
    (line,) = json.loads(out)["track"]
    assert (line["policy"], line["objects"], line["frames"], line["growth_mb"]) == ("recency", 2, 61, None)
    assert line["ratio"] > 0
    assert abs(line["ratio"] / (line["fps"] / line["stock_fps"]) - 1) < 0.5
    assert line["cost"] == 1
    assert run("bench", "track", "--case", "many")[0] == 2


@pytest.mark.slow
def test_bench_track_shows_what_policies_cost(run: Run) -> None:
    policies = ("--policy", "sam2long:uncertainty=1000", "--policy", "mosam")
    status, out, said = run("bench", "track", "--case", "1x41", *policies, "--json", "--device", "cpu")
    assert status == 0, said
    lines = json.loads(out)["track"]
    assert [line["policy"] for line in lines] == ["sam2long:uncertainty=1000", "mosam"]
    assert all(line["cost"] > 0 for line in lines)
    assert run("bench", "track", "--policy", "nonsense")[0] == 2


@pytest.mark.slow
def test_bench_simulate(run: Run) -> None:
    arguments = ("--frames", 8, "--rows", 4, "--iterations", 2, "--samples", 24, "--json", "--device", "cpu")
    status, out, said = run("bench", "simulate", *arguments)
    assert status == 0, said
    numbers = json.loads(out)["simulate"]
    assert numbers["ratio_batched"] == pytest.approx(numbers["batched_fps"] / numbers["stock_fps"], rel=0.02)
    assert len(numbers["curve"]) == 2
    assert 0 < numbers["reuse_rate"] < 1


@pytest.mark.slow
def test_bench_predict(run: Run) -> None:
    status, out, said = run("bench", "predict", "--rows", 1, "--rows", 8, "--json", "--device", "cpu")
    assert status == 0, said
    result = json.loads(out)
    one, eight = result["predict"]
    assert (one["rows"], eight["rows"], one["peak_mb"]) == (1, 8, None)
    # 7 memories of 64 tokens: nano's own arithmetic, counted by PyTorch.
    assert 5e-5 < result["tflop_per_frame"] < 5e-4
    assert eight["tflops"] == pytest.approx(eight["fps"] * result["tflop_per_frame"], rel=0.1, abs=0.002)
    assert "not for 'nano'" in run("bench", "predict", "--random-weights")[2]
    large = ("--model", "sam2.1_hiera_tiny", "--random-weights", "--input-size", 100)
    assert "a multiple of 32 pixels, not 100" in run("bench", "predict", *large)[2]


@pytest.mark.parametrize("shown", [(), ("--json",)])
def test_bench_all_tells_what_failed(shown: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence and by its exit status; the document is there nevertheless."""

    def fails(report: Report) -> Measured:
        raise RuntimeError("There is no compiler.")

    monkeypatch.setattr(everything, "plan_parts", lambda *given: [Part("predict", False, fails)])
    status, out, said = run("bench", "all", "bench", "--device", "cpu", *shown)
    assert status == 1
    assert "predict could not be measured: There is no compiler" in said
    document = json.loads(Path("bench/bench.json").read_text())
    assert list(document["failed"]) == ["predict"]
    assert not shown or json.loads(out) == document
