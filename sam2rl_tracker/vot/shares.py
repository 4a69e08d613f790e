"""`vot evaluate` as tasks that any executor works on: a tracker on a share of the sequences each.

What counts is whether the results in the workspace are complete. A share's record beside them says that the share has
ended, where and when. It is deleted when somebody has deleted results of it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sam2rl_tracker.errors import Sam2rlError, join_sentences
from sam2rl_tracker.runs.folder import write_json
from sam2rl_tracker.runs.shards import ALL, Shard
from sam2rl_tracker.runs.variables import AGENTS_VARIABLE, DEVICE_VARIABLE, MODEL_VARIABLE
from sam2rl_tracker.vot.results import find_failure, is_complete
from sam2rl_tracker.vot.sequences import object_names
from sam2rl_tracker.vot.stand_in import EVALUATION, stand_in
from sam2rl_tracker.vot.toolkit import check_registered, run_toolkit, write_log
from sam2rl_tracker.vot.workspace import Workspace, checked_workspace, open_workspace

_MOST = 1000  # shares of a tracker: an array of Slurm has 1001 jobs, and a folder that many records is quick to list


@dataclass(frozen=True)
class Share:
    """A tracker to evaluate on some sequences.

    Attributes:
        workspace: Folder of the VOT workspace, absolute.
        tracker: Its name in the registry.
        sequences: Names, in the order of list.txt.
        model: Which SAM 2, as `load_model` takes it; for our trackers.
        device: Where it runs; None = the best there is.
        agents: Folder of agents, absolute, or one agent's file; None = the workspace's.
    """

    workspace: Path
    tracker: str
    sequences: tuple[str, ...]
    model: str = "nano"
    device: str | None = None
    agents: str | None = None

    @property
    def result(self) -> Path:
        """The file that says that it has ended."""
        digest = hashlib.blake2b("\n".join(self.sequences).encode(), digest_size=6).hexdigest()
        return self.workspace / EVALUATION / self.tracker / f"{digest}.json"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the toolkit, which hands them to the tracker."""
        given = {MODEL_VARIABLE: self.model, DEVICE_VARIABLE: self.device, AGENTS_VARIABLE: self.agents}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class ShareResult:
    """The record of a share that has ended.

    Attributes:
        tracker: Its name.
        sequences: How many sequences have complete results.
        machine: Where they were made, or the last of them.
        seconds: That it took there.
        replaced: How many incomplete results were put aside for them: see `stand_in.REPLACED`.
    """

    tracker: str
    sequences: int
    machine: str
    seconds: float
    replaced: int = 0

    def as_json(self) -> dict[str, Any]:
        """As the record holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ShareResult:
        """That which `as_json` gave; other fields are left out.

        Raises:
            KeyError: A field is missing.
        """
        return cls(**{name: content[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Plan:
    """What there is to evaluate.

    Attributes:
        shares: To work on: some of their sequences lack results.
        complete: {tracker: sequences of this shard whose shares are complete}.
    """

    shares: list[Share]
    complete: dict[str, int]


def plan_shares(
    folder: Path,
    trackers: Sequence[str],
    model: str = "nano",
    device: str | None = None,
    agents: str | None = None,
    size: int | None = None,
    shard: Shard = ALL,
) -> Plan:
    """Deal the sequences of a workspace out, the same way at any time and on every machine.

    Args:
        folder: The workspace.
        trackers: Names from its registry.
        model: As in `Share`; a folder may be relative.
        agents: As in `Share`; may be relative.
        size: Sequences of a share; None = one, or as many as make 1000 shares of a tracker.
        shard: Which of the shares.

    Raises:
        Sam2rlError: The workspace is incomplete, or a tracker is not registered.
    """
    workspace = checked_workspace(folder)
    trackers = list(dict.fromkeys(trackers))
    check_registered(workspace, trackers)
    names = workspace.names()
    size = size or -(-len(names) // _MOST)
    model, agents = (_absolute(one) if one else one for one in (model, agents))
    shares = [
        Share(workspace.folder, tracker, tuple(names[start : start + size]), model or "nano", device, agents)
        for tracker in trackers
        for start in range(0, len(names), size)
    ]
    own = shard.of(shares)
    tally = Tally()
    todo = [share for share in own if tally.complete(share) < len(share.sequences)]
    for share in todo:
        share.result.unlink(missing_ok=True)  # results of it were deleted since
    done = {name: sum(len(one.sequences) for one in own if one.tracker == name) for name in trackers}
    for share in todo:
        done[share.tracker] -= len(share.sequences)
    return Plan(todo, done)


def _absolute(path: str) -> str:
    """A path as it is seen from anywhere; a model's name stays as it is."""
    return str(Path(path).resolve()) if Path(path).exists() else path


class Tally:
    """Counts sequences with complete results; what was complete once is not looked at again."""

    def __init__(self) -> None:
        self._complete = set[tuple[Path, str, str]]()
        self._workspaces: dict[Path, Workspace] = {}

    def complete(self, share: Share) -> int:
        """How many sequences of a share have complete results in every experiment.

        Experiments that make sequences of their own are the toolkit's to judge, and complete for nobody else.
        """
        workspace = self._workspaces.setdefault(share.workspace, open_workspace(share.workspace))
        experiments = workspace.experiments()
        for name in share.sequences:
            key = (share.workspace, share.tracker, name)
            if key not in self._complete and all(is_complete(workspace, share.tracker, one, name) for one in experiments):
                self._complete.add(key)
        return sum((share.workspace, share.tracker, name) in self._complete for name in share.sequences)


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
            lambda line: view.join(ended=False),  # it speaks when it has ended a sequence
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
        raise Sam2rlError(join_sentences([failure]))
    seconds = round(time.monotonic() - began, 1)
    result = ShareResult(share.tracker, len(share.sequences), platform.node(), seconds, view.replaced)
    write_json(share.result, result.as_json())
    return result


def read_share(share: Share) -> ShareResult | None:
    """The record of a share; None where it has not ended."""
    try:
        return ShareResult.from_json(json.loads(share.result.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
