"""SAM 2 with an explicit memory bank and pluggable memory policies."""

from typing import TYPE_CHECKING

from sam2rl_tracker.version import __version__

if TYPE_CHECKING:
    from sam2rl_tracker.tracking.tracker import Tracker

__all__ = ["Tracker", "__version__"]


def __getattr__(name: str) -> object:
    # Lazy: PyTorch takes seconds to import; `sam2rl --help` and the VOT tracker's handshake need none of it.
    if name == "Tracker":
        from sam2rl_tracker.tracking.tracker import Tracker

        return Tracker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
