"""Which processes on which devices: what `--jobs`, `--device` and `--per-device` say."""

from __future__ import annotations

from sam2rl_tracker.engine.devices import resolve_device, visible_cuda_devices
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.executors import Devices, Executor, Here, Processes


def local_executor(jobs: int | None = None, device: str | None = None, per_device: int | None = None) -> Executor:
    """The executor of this machine that options ask for: of one process in all, this one.

    Args:
        jobs: See `count_jobs`, as for the next two. Processes are spread over the devices.

    Raises:
        Sam2rlError: See `count_jobs`.
    """
    count = count_jobs(jobs, device, per_device)
    devices = list_devices(device) if device else []
    if len(devices) > 1:
        return Devices([devices[k % len(devices)] for k in range(count)])
    return Here() if count == 1 else Processes(count)


def count_jobs(jobs: int | None, device: str | None, per_device: int | None, alone: int = 1) -> int:
    """How many processes options ask for.

    Args:
        jobs: Processes in all; None = as many as the devices ask for.
        device: One or several, separated by commas; `cuda` = all that are visible; None = the best there is.
        per_device: Processes on each device; None = one, or `alone`.
        alone: Processes where there is one device.

    Raises:
        Sam2rlError: A device is unknown or not on this machine, or `jobs` and `per_device` are both given.
    """
    if jobs is not None and per_device is not None:
        raise Sam2rlError(
            f"--jobs {jobs} and --per-device {per_device} both say how many processes there are: give one of them."
        )
    devices = len(list_devices(device)) if device else 1
    if jobs is not None:
        return jobs
    return devices * (per_device or (1 if devices > 1 else alone))


def list_devices(text: str) -> list[str]:
    """The devices that `--device` names.

    Raises:
        Sam2rlError: One is unknown, not on this machine, or named twice.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        resolve_device(name)
        if names.count(name) > 1 or (name == "cuda" and len(names) > 1):
            raise Sam2rlError(
                f"--device {text} names {name} twice: give each device once, and --per-device N for N processes each."
            )
    return visible_cuda_devices() if names == ["cuda"] else names
