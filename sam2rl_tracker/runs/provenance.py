"""What a result was made with: versions of packages, and the processor."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def package_version(package: str) -> str:
    """Its version, or "unknown" where it is not installed as a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def processor() -> str:
    """Its name where Linux tells it, else the kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
