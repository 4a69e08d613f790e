"""`vot evaluate` as tasks that any executor works on: a tracker on a share of the sequences each.

What counts is whether the results in the workspace are complete. A share's record says beside them that it has ended,
where and when; one whose results somebody has deleted says nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from sam2rl_tracker.errors import Sam2rlError, join_sentences
from sam2rl_tracker.runs.executors import Executor, Outcome, unwatched
from sam2rl_tracker.runs.tasks import Kind, run_tasks
from sam2rl_tracker.runs.variables import tracker_environment
from sam2rl_tracker.vot.results import find_failure, is_complete
from sam2rl_tracker.vot.sequences import object_names
from sam2rl_tracker.vot.stand_in import EVALUATION, stand_in
from sam2rl_tracker.vot.toolkit import check_registered, run_toolkit, write_log
from sam2rl_tracker.vot.workspace import Workspace, open_workspace

_MOST = 1000  # shares of a tracker: an array of Slurm's has 1001 jobs, and a folder of so many records is quick to list


@dataclass(frozen=True)
class Share:
    """A tracker to evaluate on some sequences.

    Attributes:
        workspace: Folder of the VOT workspace, absolute.
        tracker: Its name in the registry.
        sequences: Names, in the order of list.txt.
        model: Which SAM 2, as `load_model` takes it; for the trackers of this package.
        device: Where it runs; None = the best there is.
        agents: Folder of agents, or one agent's file; None = the workspace's.
        dtype: The numbers that the trackers of this package compute in, outside of exact mode.
        compile: Whether they compile the network's steps first.
        threads: That the tracker computes with; None = as it does by itself.
    """

    workspace: Path
    tracker: str
    sequences: tuple[str, ...]
    model: str = "nano"
    device: str | None = None
    agents: str | None = None
    dtype: str = "float32"
    compile: bool = False
    threads: int | None = None

    kind: ClassVar[str] = "evaluate"

    def __str__(self) -> str:
        first, last = self.sequences[0], self.sequences[-1]
        return f"{self.tracker} on {first}" + (f" to {last}" if last != first else "")

    @property
    def result(self) -> Path:
        """The record that it leaves."""
        digest = hashlib.sha256("\n".join(self.sequences).encode()).hexdigest()[:16]
        return self.workspace / EVALUATION / self.tracker / f"{digest}.json"

    def on(self, device: str) -> Share:
        """The same share, on a device."""
        return replace(self, device=device)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the toolkit, which hands them to the tracker."""
        return tracker_environment(self.model, self.device, self.agents, self.dtype, self.compile, self.threads)


@dataclass(frozen=True)
class ShareResult:
    """The record of a share.

    Attributes:
        tracker: Its name.
        sequences: How many sequences have complete results.
        seconds: That it took, where it ended.
        replaced: How many incomplete results were put aside for them: see `stand_in.REPLACED`.
    """

    tracker: str
    sequences: int
    seconds: float
    replaced: int

    def as_json(self) -> dict[str, Any]:
        """As the file holds it."""
        return asdict(self)


def plan_shares(
    workspace: Workspace,
    trackers: Sequence[str],
    size: int | None = None,
    model: str = "nano",
    device: str | None = None,
    agents: str | None = None,
    dtype: str = "float32",
    compile: bool = False,
    threads: int | None = None,
) -> list[Share]:
    """Deal the sequences of a workspace out: the same way at any time and on every machine, whatever is done.

    Args:
        trackers: Names from its registry.
        size: Sequences of a share; None = one, or as many as make 1000 shares of a tracker.
        model: As in `Share`; a folder may be relative.
        device: As in `Share`.
        agents: As in `Share`; may be relative.
        dtype: As in `Share`.
        compile: As in `Share`.
        threads: As in `Share`.

    Raises:
        Sam2rlError: A tracker is not registered.
    """
    check_registered(workspace, trackers)
    names = workspace.names()
    size = size or max(1, -(-len(names) // _MOST))
    how = (absolute(model), device, absolute(agents) if agents else None, dtype, compile, threads)
    return [
        Share(workspace.folder, tracker, tuple(names[start : start + size]), *how)
        for tracker in dict.fromkeys(trackers)
        for start in range(0, len(names), size)
    ]


def absolute(path: str) -> str:
    """A path as it is seen from anywhere; a model's name stays as it is."""
    return str(Path(path).resolve()) if Path(path).exists() else path


class Tally:
    """Counts sequences with complete results; what was complete once is not looked at again.

    Args:
        workspace: In which trackers are evaluated.
    """

    def __init__(self, workspace: Workspace):
        self._workspace, self._experiments = workspace, workspace.experiments()
        self._complete = set[tuple[str, str]]()

    def complete(self, share: Share) -> int:
        """How many sequences of a share have complete results in every experiment.

        In experiments that make sequences of their own no result is known to be complete.
        """
        return sum(self._is_complete(share.tracker, name) for name in share.sequences)

    def _is_complete(self, tracker: str, sequence: str) -> bool:
        key = (tracker, sequence)
        if key not in self._complete and all(
            is_complete(self._workspace, tracker, experiment, sequence) for experiment in self._experiments
        ):
            self._complete.add(key)
        return key in self._complete


def evaluate_shares(
    shares: Sequence[Share],
    executor: Executor,
    tally: Tally,
    on_wait: Callable[[Sequence[Share]], None] = unwatched,
) -> Iterator[Outcome[Share, ShareResult]]:
    """Evaluate what lacks results; yields each such share when it ends, with its result or with what went wrong.

    Args:
        executor: Where the toolkit runs.
        tally: Of the shares' workspace.
        on_wait: See `Executor.run`.
    """
    lacking = [share for share in shares if tally.complete(share) < len(share.sequences)]
    for share in lacking:
        share.result.unlink(missing_ok=True)  # it ended once; somebody has deleted results since
    return run_tasks(executor, lacking, on_wait)


def evaluate_share(share: Share) -> ShareResult:
    """Run `vot evaluate` on a share; its sequences that have complete results are left out.

    Each sequence's results are in the workspace soon after the toolkit has ended it, and stay whatever comes after.

    Raises:
        Sam2rlError: The tracker failed on a sequence, where the toolkit stops; or the workspace cannot be written to.
    """
    began = time.monotonic()
    workspace = open_workspace(share.workspace)
    with stand_in(workspace, share.tracker, share.sequences) as view:
        lines = run_toolkit(
            workspace,
            ["evaluate", share.tracker],
            lambda line: view.join(ended=False),  # it tells what it has ended
            share.environment,
            stand_in=view.folder,
        )
        view.join(ended=True)
        logs = view.move_logs()
    objects = {name: object_names(workspace.sequences / name) for name in share.sequences}
    experiments = workspace.experiments()
    failure = find_failure(workspace, share.tracker, objects, logs, experiments)
    if failure and not logs:
        logs = [write_log(workspace, share.tracker, lines)]
        failure = find_failure(workspace, share.tracker, objects, logs, experiments)
    if failure:
        raise Sam2rlError(join_sentences([f"Sequence {failure.sequence}: {failure.reason}"]))
    return ShareResult(share.tracker, len(share.sequences), round(time.monotonic() - began, 1), view.replaced)


def _read(share: Share, content: Mapping[str, Any]) -> ShareResult | None:
    """A record from its file; None where results that it stands for are gone."""
    workspace = open_workspace(share.workspace)
    if any(
        is_complete(workspace, share.tracker, experiment, name) is False
        for experiment in workspace.experiments()
        for name in share.sequences
    ):
        return None
    return ShareResult(**{name: content[name] for name in ShareResult.__dataclass_fields__})


EVALUATE = Kind(Share, evaluate_share, _read)
"""Shares, as tasks."""
