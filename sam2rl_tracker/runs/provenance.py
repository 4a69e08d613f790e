"""What made a number: model, device, processor, threads and versions of packages.

Every file and document that says so takes it from here. What each of them holds is fixed, as others read them.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from sam2rl_tracker.engine import PLAIN, Arithmetic, Model

# Packages whose versions are told,
RESULT_PACKAGES = ("sam2rl_tracker", "sam2", "torch")  # beside each result of the VOT toolkit;
AGENT_PACKAGES = ("sam2rl_tracker", "torch", "sam2", "stable-baselines3")  # in an agent's file;
PAGE_PACKAGES = ("sam2rl_tracker", "torch", "sam2", "vot-toolkit", "numpy", "matplotlib")  # on the report's page;
BENCHMARK_PACKAGES = ("sam2rl_tracker", "sam2", "torch", "stable-baselines3", "vot-toolkit", "numpy")  # in a benchmark.


@dataclass(frozen=True)
class Provenance:
    """What a number depends on, beside the data and the method.

    Attributes:
        model: Its name, or the folder that it was loaded from.
        model_hash: Of the weights; see `Model.hash`.
        device: The kind: "cpu", "cuda" or "mps".
        device_name: A GPU's own name; the kind for all others.
        threads: That PyTorch computes with on the CPU.
        torch: PyTorch's version with its build, such as "2.9.0+cu128".
        dtype: "float32" or "bfloat16", that the network computed in.
        compile: Whether its steps were compiled.
    """

    model: str
    model_hash: str
    device: str
    device_name: str
    threads: int
    torch: str
    dtype: str = PLAIN.dtype
    compile: bool = PLAIN.compile

    @classmethod
    def of(cls, model: Model, arithmetic: Arithmetic = PLAIN) -> Provenance:
        """That of what this process computes with a model, now."""
        kind = model.device.type
        name = torch.cuda.get_device_name(model.device) if kind == "cuda" else kind
        threads, built = torch.get_num_threads(), torch.__version__
        return cls(model.name, model.hash, kind, name, threads, built, **asdict(arithmetic))

    def result_line(self) -> str:
        """A line that is stored with each result of the VOT toolkit.

        Of a model that is a folder it holds only the last name: the same folder elsewhere is the same model, and
        results are handed in.
        """
        packages = ", ".join(f"{name} {number}" for name, number in versions(RESULT_PACKAGES).items())
        how = f" {self.dtype}" * (self.dtype != PLAIN.dtype) + " compiled" * self.compile
        return f"{Path(self.model).name} {self.model_hash}, {self.device}{how}, {packages}"

    def as_json(self, seed: int) -> dict[str, Any]:
        """Fields of `settings` in the JSON documents of `bench`, `model score` and `benchmark`."""
        return {
            "model": self.model,
            "model_hash": self.model_hash,
            "device": self.device_name,
            "threads": self.threads,
            "torch": self.torch,
            "dtype": self.dtype,
            "compile": self.compile,
            "seed": seed,
        }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """{package: its version, or "unknown" where it is not installed as a package}."""
    return {name: package_version(name) for name in packages}


def package_version(package: str) -> str:
    """Its version, or "unknown" where it is not installed as a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def python_version() -> str:
    """Python's own, such as "3.11.9"."""
    return platform.python_version()


def processor() -> str:
    """Its name where Linux tells it, else the kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> str:
    """System, processor, cores and memory, for people."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.platform()}, {processor()}, {os.cpu_count()} cores, {memory:.0f} GiB"
