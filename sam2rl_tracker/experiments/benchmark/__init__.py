"""The comparison of all trackers, agents and searches on generated videos: one command, resumable at any point.

`plan` says what is done, `parts` does it and keeps what has ended in files, `document` puts the results together, and
`run` calls them in turn. What agents and searches reach, they reach on the ground truth that they are scored on; the
document says so everywhere.
"""

from sam2rl_tracker.experiments.benchmark.plan import DEFAULT, PAPER, Plan
from sam2rl_tracker.experiments.benchmark.run import run_benchmark

__all__ = ["DEFAULT", "PAPER", "Plan", "run_benchmark"]
