"""The device that a model runs on."""

from __future__ import annotations

import platform

import torch

from sam2rl_tracker.errors import Sam2rlError


def resolve_device(name: str | torch.device | None) -> torch.device:
    """The device of a name: `cpu`, `cuda`, `cuda:1`, `mps`; None takes the best one there is.

    Raises:
        Sam2rlError: No such device, or not on this machine.
    """
    if isinstance(name, torch.device):
        return name
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise Sam2rlError(f"Device {name!r} is unknown: give cpu, cuda, cuda:N or mps.") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        there = ", ".join(kind for kind, usable in available.items() if usable)
        raise Sam2rlError(f"Device {name!r} is not usable on this machine: what is there is {there}.")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise Sam2rlError(f"Device {name!r} does not exist: this machine has {torch.cuda.device_count()} CUDA devices.")
    return device


def is_x86(device: torch.device) -> bool:
    """Whether a device is a processor of Intel's or AMD's kind."""
    return device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 faster than float32, as far as can be known."""
    if not is_x86(device):
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def visible_cuda_devices() -> list[str]:
    """Names of the CUDA devices that this process sees; of a single one, just `cuda`."""
    count = torch.cuda.device_count()
    return ["cuda"] if count < 2 else [f"cuda:{k}" for k in range(count)]
