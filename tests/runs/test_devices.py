"""What --jobs, --device and --per-device ask for. The CPU under several names stands in for several devices."""

from __future__ import annotations

import pytest
import torch

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.devices import count_jobs, list_devices, local_executor
from sam2rl_tracker.runs.executors import Devices, Here, Processes


def places(*options: object) -> list[str | None]:
    executor = local_executor(*options)  # type: ignore[arg-type]
    assert isinstance(executor, Processes)
    return executor._places


def test_one_process_is_this_one() -> None:
    for options in [(), (1,), (None, "cpu"), (None, "cpu", 1)]:
        assert isinstance(local_executor(*options), Here)  # type: ignore[arg-type]


def test_processes_on_devices() -> None:
    assert places(3) == places(3, "cpu") == places(None, "cpu", 3) == [None] * 3  # tasks know their one device
    assert places(None, "cpu:0,cpu:1") == ["cpu:0", "cpu:1"]
    assert places(None, "cpu:0, cpu:1", 2) == ["cpu:0", "cpu:1"] * 2  # few tasks are spread, too
    assert places(3, "cpu:0,cpu:1") == ["cpu:0", "cpu:1", "cpu:0"]
    assert count_jobs(None, None, None, alone=2) == count_jobs(None, "cpu", None, alone=2) == 2
    assert count_jobs(None, "cpu:0,cpu:1", None, alone=2) == 2
    assert Devices(["a", "b"], per_device=2)._places == ["a", "b"] * 2


def test_cuda_is_all_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert list_devices("cuda") == ["cuda:0", "cuda:1", "cuda:2"]
    assert list_devices("cuda:1") == ["cuda:1"]
    assert places(None, "cuda", 2) == ["cuda:0", "cuda:1", "cuda:2"] * 2
    with pytest.raises(Sam2rlError, match="Device 'cuda:3' does not exist: this machine has 3 CUDA devices"):
        list_devices("cuda:0,cuda:3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert list_devices("cuda") == ["cuda"]
    assert isinstance(local_executor(device="cuda"), Here)


def test_bad_options() -> None:
    with pytest.raises(Sam2rlError, match=r"--jobs 2 and --per-device 3 both say how many .*: give one of them"):
        local_executor(2, "cpu", 3)
    with pytest.raises(Sam2rlError, match="--device cpu,cpu names cpu twice: give each device once, and --per-device"):
        local_executor(device="cpu,cpu")
    with pytest.raises(Sam2rlError, match="Device 'gpu' is unknown: give"):
        local_executor(device="cpu,gpu")
    with pytest.raises(Sam2rlError, match="Device '' is unknown: give"):
        local_executor(device="cpu,")
