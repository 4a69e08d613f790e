"""The VOT toolkit's side of the package: the tracker it starts, its workspaces, sequences and results.

Only this folder imports `trax` and `vot`, and what runs inside a tracker imports `trax` alone. Nothing is imported here
before it is needed, as the toolkit starts a new interpreter for every sequence.
"""

from __future__ import annotations


def main(policy: str) -> None:
    """Serve the VOT toolkit as a tracker with this memory policy; what `trackers.ini` calls.

    Args:
        policy: A policy as the command line takes it, `NAME[:key=value,...]`.
    """
    from sam2rl_tracker.vot.tracker import serve

    serve(policy)
