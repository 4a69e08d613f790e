"""`sam2rl bench all`: what it measures on a device, what it keeps, and what a document says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Run as Command
from commands import commands

from sam2rl_tracker.engine import PLAIN, Arithmetic
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.experiments import everything, variant_speed
from sam2rl_tracker.experiments.everything import Part, Report, bench_all, plan_parts
from sam2rl_tracker.experiments.prediction_speed import bench_predict
from sam2rl_tracker.experiments.tracking_speed import Run
from sam2rl_tracker.experiments.variant_speed import bench_variants


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return commands(monkeypatch, capsys)


class Measurements:
    """Three parts in place of the real ones; counts what is measured."""

    def __init__(self) -> None:
        self.measured: list[str] = []
        self.problems: dict[str, BaseException] = {}

    def plan(self, *_: object) -> list[Part]:
        return [Part(name, name == "second", lambda report, name=name: self.measure(name)) for name in self.names]

    names = ("first", "second", "third")

    def measure(self, name: str) -> Measurements:
        self.measured.append(name)
        if name in self.problems:
            raise self.problems[name]
        return self

    def as_json(self) -> dict[str, Any]:
        return {"predict": [{"rows": 4, "fps": 2.5, "tflops": 0.5, "peak_mb": None}], "ceiling_tflops": 2.0}


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> Measurements:
    made = Measurements()
    monkeypatch.setattr(everything, "plan_parts", made.plan)
    return made


def test_a_gpu_is_measured_with_real_sizes_too() -> None:
    on_cpu = {part.name: part.random_weights for part in plan_parts(torch.device("cpu"))}
    on_gpu = {part.name: part.random_weights for part in plan_parts(torch.device("cuda"))}
    assert set(on_cpu.values()) == {False}
    assert on_cpu.items() <= on_gpu.items()
    arithmetics = ("float32", "bfloat16", "float32-compiled", "bfloat16-compiled")
    for size in (512, 1024):
        added = {f"predict-sam2.1_hiera_large-{size}-{arithmetic}" for arithmetic in arithmetics}
        added |= {f"variants-sam2.1_hiera_large-{size}-{objects}" for objects in (1, 5)}
        assert dict.fromkeys(added, True).items() <= on_gpu.items()
    assert {f"simulate-nano-{arithmetic}" for arithmetic in arithmetics} | {"track-nano"} <= set(on_cpu)


def test_a_run_that_is_interrupted_goes_on(tmp_path: Path, measurements: Measurements) -> None:
    measurements.problems["third"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench_all(tmp_path / "b", device="cpu")
    measurements.problems.clear()
    told: list[tuple[int, int]] = []
    result = bench_all(tmp_path / "b", device="cpu", on_part=lambda done, total, text: told.append((done, total)))
    assert measurements.measured == ["first", "second", "third", "third"]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert {name: part["random_weights"] for name, part in result.parts.items()} == {
        "first": False,
        "second": True,
        "third": False,
    }
    assert json.loads((tmp_path / "b" / "bench.json").read_text()) == result.as_json()
    assert result.settings["model_hash"]
    assert result.settings["versions"]["torch"]
    assert [(line.part, line.what, line.of_ceiling) for line in result.lines()] == [
        (name, "4 rows", 0.25) for name in Measurements.names
    ]


def test_a_part_that_fails_takes_no_other_along(tmp_path: Path, measurements: Measurements) -> None:
    measurements.problems["second"] = RuntimeError("no compiler\nand more")
    result = bench_all(tmp_path / "b", device="cpu")
    assert list(result.parts) == ["first", "third"]
    assert list(result.failed) == ["second"]
    assert "no compiler" in result.failed["second"]
    measurements.problems.clear()
    assert bench_all(tmp_path / "b", device="cpu").failed == {}
    assert measurements.measured == ["first", "second", "third", "second"]


def test_numbers_of_other_settings_are_not_mixed(tmp_path: Path, measurements: Measurements) -> None:
    bench_all(tmp_path / "b", device="cpu")
    with pytest.raises(Sam2rlError, match=r"was begun with quick=False, and here it is True: .*; give a new folder"):
        bench_all(tmp_path / "b", device="cpu", quick=True)
    (tmp_path / "b" / "settings.json").write_text("{")
    with pytest.raises(Sam2rlError, match=r"settings\.json is damaged: give a new folder"):
        bench_all(tmp_path / "b", device="cpu")


def test_the_command(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """One real part: its progress is said, its document is printed alone, its table has its numbers."""

    def measure(report: Report) -> Any:
        return bench_predict(device="cpu", rows=(1,), report=report)

    monkeypatch.setattr(everything, "plan_parts", lambda *_: [Part("predict-nano-float32", False, measure)])
    status, out, said = run("bench", "all", "b", "--device", "cpu", "--quick", "--json")
    assert status == 0, said
    document = json.loads(out)
    (line,) = document["bench"]["predict-nano-float32"]["predict"]
    assert line["fps"] > 0
    assert document["settings"]["quick"] is True
    assert "0/1 predict-nano-float32: 1 rows" in " ".join(said.split())
    status, out, said = run("bench", "all", "b", "--device", "cpu", "--quick")
    assert status == 0, said
    assert f"{line['fps']:g}" in out


@pytest.mark.slow
def test_every_way_is_measured_in_turns_and_one_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    begin_tracking = variant_speed.begin_tracking

    def fails_compiled(*given: Any, arithmetic: Arithmetic = PLAIN) -> Run:
        if arithmetic.compile:
            raise RuntimeError("There is no compiler.\nMore.")
        return begin_tracking(*given, arithmetic=arithmetic)

    monkeypatch.setattr(variant_speed, "begin_tracking", fails_compiled)
    result = bench_variants(device="cpu", turns=1, arithmetics=(Arithmetic(compile=True),))
    ours, stock, compiled, _ = result.lines
    assert [(line.who, line.compile) for line in (ours, stock)] == [("recency", False), ("stock SAM 2", False)]
    assert stock.ratio == 1
    assert ours.fps is not None
    assert ours.fps > 0
    assert compiled.compile
    assert compiled.fps is None
    assert compiled.failed is not None
    assert "There is no compiler." in compiled.failed
    # Both do the same work, counted by PyTorch: ours attends to what it stores, before a projection.
    flops = result.tflop_per_frame
    assert 0.5 < flops["recency"] / flops["stock SAM 2"] < 1.1
    assert ours.tflops == pytest.approx(ours.fps * flops["recency"], rel=0.1, abs=1e-4)
