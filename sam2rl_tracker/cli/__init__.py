"""The command line `sam2rl`.

Functions of its modules import what they call: `sam2rl --help` answers at once, though PyTorch takes seconds to load.
"""

from sam2rl_tracker.cli.main import main

__all__ = ["main"]
