"""Which device a name stands for."""

from __future__ import annotations

import pytest
import torch

from sam2rl_tracker.engine import resolve_device
from sam2rl_tracker.errors import Sam2rlError


def test_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, backend in (("mps", torch.backends.mps), ("cuda", torch.cuda)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        assert resolve_device(None) == torch.device("cpu")
        monkeypatch.setattr(backend, "is_available", lambda: True)
        assert resolve_device(None) == torch.device(name)


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(Sam2rlError, match=r"^Device 'gpu' is unknown: give cpu, cuda, cuda:N or mps\.$"):
        resolve_device("gpu")
    with pytest.raises(Sam2rlError, match=r"^Device 'cuda' is not usable on this machine: what is there is cpu\.$"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(Sam2rlError, match=r"^Device 'cuda:2' does not exist: this machine has 2 CUDA devices\.$"):
        resolve_device("cuda:2")
