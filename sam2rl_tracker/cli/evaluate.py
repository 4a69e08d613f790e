"""`sam2rl evaluate`: `vot evaluate` in shares, side by side."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2rl_tracker.cli.cluster import (
    ChunkSize,
    MaxJobs,
    OnSlurm,
    SlurmSet,
    UseSlurm,
    choose_executor,
    choose_shard,
    detaching,
    slurm_status,
)
from sam2rl_tracker.cli.options import (
    Compile,
    Devices,
    Dtype,
    Folder,
    Jobs,
    Json,
    Model,
    PerDevice,
    ShardOf,
    console,
    print_json,
    say,
)
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.variables import AGENTS_VARIABLE

if TYPE_CHECKING:
    from sam2rl_tracker.vot.shares import Share, Tally

_SHOWN = 3  # failures of a tracker: where it fails everywhere, it does so for one reason


def evaluate(
    folder: Folder,
    trackers: Annotated[list[str], typer.Argument(metavar="TRACKER...", help="Names from the workspace's registry.")],
    model: Model = "nano",
    device: Devices = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    jobs: Jobs = None,
    per_device: PerDevice = None,
    slurm: UseSlurm = False,
    slurm_set: SlurmSet = None,
    chunk: ChunkSize = None,
    max_jobs: MaxJobs = None,
    size: Annotated[
        int | None,
        typer.Option("--sequences-per-task", min=1, help="Of a tracker.", show_default="1, or 1/1000 of all"),
    ] = None,
    shard: ShardOf = None,
    as_json: Json = False,
) -> None:
    """Run `vot evaluate` on several sequences at a time, for the same results. Resumes by itself."""
    from sam2rl_tracker.vot.shares import Tally, evaluate_shares, plan_shares
    from sam2rl_tracker.vot.stand_in import REPLACED
    from sam2rl_tracker.vot.workspace import checked_workspace, open_workspace

    cluster = OnSlurm(slurm, slurm_set, chunk, max_jobs)
    part = choose_shard(shard, cluster)
    executor = choose_executor(folder, jobs, device, per_device, cluster)
    workspace = open_workspace(folder)
    agents = os.environ.get(AGENTS_VARIABLE)
    shares = part.of(plan_shares(workspace, trackers, size, model, device, agents, dtype, compile))
    checked_workspace(folder, only={name for share in shares for name in share.sequences})
    tally = Tally(workspace)
    failures = list[dict[str, Any]]()
    with detaching(cluster, folder), _Bars(shares, tally, lambda: slurm_status(executor)) as bars:
        for outcome in evaluate_shares(shares, executor, tally, bars.update):
            if isinstance(outcome.result, Sam2rlError):
                failures.append(_failed(outcome.task, outcome.result, failures))
            elif outcome.result.replaced:
                say(f"{outcome.task}: incomplete results were moved to {workspace.folder / REPLACED}")
            bars.end(outcome.task)
    if not shares:
        say(f"Shard {part} has nothing to do.")
    for name, complete in bars.complete.items():
        say(f"{name}: results on {complete} of {bars.totals[name]} sequences are complete")
    if as_json:
        counts = {name: {"complete": bars.complete[name], "sequences": total} for name, total in bars.totals.items()}
        print_json({"trackers": counts, "failures": failures})
    if failures:
        raise typer.Exit(1)


def _failed(share: Share, error: Sam2rlError, before: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Say that a share failed; its entry in the JSON document."""
    count = sum(one["tracker"] == share.tracker for one in before)
    if count < _SHOWN:
        say(f"FAILED {share}: {error}", style="red")
    elif count == _SHOWN:
        say(f"FAILED {share}, and {share.tracker}'s further failures are not shown: see --json", style="red")
    return {"tracker": share.tracker, "sequences": list(share.sequences), "error": str(error)}


class _Bars:
    """A progress bar for each tracker, in sequences; lines of a log where there is no terminal.

    Attributes:
        totals: {tracker: how many sequences there are}.

    Args:
        shares: To evaluate.
        tally: Of their workspace.
        status: What an executor says beside.
    """

    def __init__(self, shares: Sequence[Share], tally: Tally, status: Callable[[], str]):
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[said]}"), console=console, transient=True)
        self._tally, self._status = tally, status
        self._counts = {share: tally.complete(share) for share in shares}
        self.totals = Counter[str]()
        for share in shares:
            self.totals[share.tracker] += len(share.sequences)
        self._bars = {
            name: self._progress.add_task(escape(name), total=total, completed=self.complete[name], said="")
            for name, total in self.totals.items()
        }

    @property
    def complete(self) -> dict[str, int]:
        """{tracker: how many sequences have complete results}."""
        return {
            name: sum(count for share, count in self._counts.items() if share.tracker == name) for name in self.totals
        }

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, running: Sequence[Share]) -> None:
        """Show how far the shares have come that are under way."""
        for share in running:
            self._counts[share] = self._tally.complete(share)
        complete = self.complete
        at_work = Counter(share.tracker for share in running)
        for name, bar in self._bars.items():
            said = [f"{at_work[name]} at work" if at_work[name] else "", self._status()]
            self._progress.update(bar, completed=complete[name], said=escape("  ".join(filter(None, said))))

    def end(self, share: Share) -> None:
        """Show that a share has ended."""
        before, self._counts[share] = self._counts[share], self._tally.complete(share)
        complete = self.complete[share.tracker]
        self._progress.update(self._bars[share.tracker], completed=complete)
        if not console.is_terminal and self._counts[share] > before:  # a log has no bars
            say(f"{share.tracker}: {complete} of {self.totals[share.tracker]} sequences")
