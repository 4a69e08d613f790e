"""The command line `sam2rl`."""

from sam2rl_tracker.cli.main import main

__all__ = ["main"]
